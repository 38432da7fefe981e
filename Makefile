# hpprof: `make help` lists the targets.

VERSION := 0.1.0
V       ?=
BUILD   := build
OUT     := $(BUILD)$(if $(V),/$(V))
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
PKG_CONFIG ?= pkg-config
ARCH    := $(shell uname -m)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

ifneq ($(filter-out asan tsan cov fuzz,$(V)),)
$(error V=$(V) is not a variant: asan, tsan, cov or fuzz)
endif
ifeq ($(V) $(origin CC),fuzz default)
CC := clang # which has libFuzzer
endif

CFLAGS ?= -O2 -g
SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZE_tsan := -fsanitize=thread
SANITIZE_cov  := --coverage -O0
SANITIZE_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
WARN       := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes $(WERROR)
ALL_CPP    := -I. -I$(OUT)/gen -D_GNU_SOURCE -DHPP_VERSION='"$(VERSION)"' $(CPPFLAGS)
# Our own command is one of the programs to profile: it keeps its frame pointers.
TOOL_FLAGS := $(CFLAGS) -std=gnu11 $(WARN) -fno-omit-frame-pointer $(SANITIZE_$(V))
# The agent runs inside other programs, in signal handlers, and on a thread-local block of its own.
AGENT_FLAGS := $(CFLAGS) -std=gnu11 $(WARN) -fPIC -fvisibility=hidden -fno-omit-frame-pointer \
               -fno-stack-protector -fno-exceptions -fno-plt -U_FORTIFY_SOURCE -DHPP_AGENT
# In two segments, as each costs every program some us at its start.
AGENT_LDFLAGS := -shared -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,-z,defs -Wl,-z,text \
                 -Wl,-z,noseparate-code -Wl,-Bsymbolic-functions -Wl,--exclude-libs,ALL -Wl,-soname,libhpprof.so -Wl,--as-needed

TOOL_LIBS := $(shell $(PKG_CONFIG) --libs libdw libelf libprotobuf-c zlib 2>/dev/null) -liberty -lunwind-$(ARCH)
TEST_LIBS := -lcmocka
PROTOBUF_C_A := $(shell $(PKG_CONFIG) --variable=libdir libprotobuf-c 2>/dev/null)/libprotobuf-c.a

COMMON_SRC := $(wildcard common/*.c common/arch/$(ARCH)/*.c)
AGENT_SRC  := $(COMMON_SRC) $(wildcard profiler/*.c preload/*.c preload/remap/*.c preload/arch/$(ARCH)/*.c)
TOOL_SRC   := $(COMMON_SRC) $(wildcard symbolizer/*.c)
CLI_SRC    := $(wildcard cli/*.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)
UNIT_HELP  := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
# What make bench-unwind and make bench-remap need is larger, and only built for them.
BENCH_UNWIND := $(wildcard bench/unwind*.c)
BENCH_REMAP  := bench/remap_calls.c
BENCH_SRC  := $(filter-out $(BENCH_UNWIND) $(BENCH_REMAP) bench/sampler_empty.c,$(wildcard bench/*.c))
TORTURE_PROGRAMS := scene many reap kills looks uses
PROG_SRC   := $(wildcard tests/programs/*.c tests/programs/*.cc)
# Unit tests of the agent's parts take what they name from here; what runs at load time stays out.
TARGET_SRC := $(filter-out preload/agent.c preload/interpose%.c,$(wildcard profiler/*.c preload/*.c preload/remap/*.c))

AGENT_OBJ  := $(AGENT_SRC:%.c=$(OUT)/agent/%.o) $(OUT)/agent/proto/profile.pb-c.o
TOOL_OBJ   := $(TOOL_SRC:%.c=$(OUT)/obj/%.o) $(OUT)/obj/proto/profile.pb-c.o
CLI_OBJ    := $(CLI_SRC:%.c=$(OUT)/obj/%.o)
UNIT_HELP_OBJ := $(UNIT_HELP:%.c=$(OUT)/obj/%.o)
TARGET_OBJ := $(TARGET_SRC:%.c=$(OUT)/obj/%.o)
UNIT_BIN   := $(UNIT_SRC:%.c=$(OUT)/%)
BENCH_BIN  := $(BENCH_SRC:%.c=$(OUT)/%) $(OUT)/bench/libsampler_empty.so
UNWIND_BIN := $(addprefix $(OUT)/tests/,unwind/step unwind/second_opinion libhpprof-check.so)
TORTURE_BIN := $(addprefix $(OUT)/tests/torture/,deliver walks swaps $(TORTURE_PROGRAMS))
PROG_BIN   := $(addprefix $(OUT)/,$(basename $(PROG_SRC)))

AGENT := $(OUT)/libhpprof.so
TOOL  := $(OUT)/hpprof

all: $(if $(V),,agent) tools  ## build the agent and the command
agent: $(AGENT)               ## build libhpprof.so
tools: $(TOOL)                ## build the command
programs: $(PROG_BIN)         ## build the programs that tests profile
unit: $(UNIT_BIN)             ## build the unit tests
unwind-programs: $(UNWIND_BIN)
torture-programs: $(TORTURE_BIN)

all agent tools programs unit unwind-programs torture-programs bench-programs:
	@:

# ---- what outputs depend on besides their sources: flags, and lists of objects --------------------

# $(call say,WHAT): a short line in place of the command; VERBOSE=1 shows commands.
say = $(if $(VERBOSE),,@echo "  $1 $@";)
# $(call stamp,TEXT): rewrites the target when TEXT is not what it holds.
stamp = @mkdir -p $(@D); echo '$(subst ','\'',$1)' | cmp -s - $@ || echo '$(subst ','\'',$1)' > $@
$(OUT)/flags: FORCE
	$(call stamp,$(CC) $(ALL_CPP) $(TOOL_FLAGS) $(AGENT_FLAGS))
$(OUT)/links: FORCE
	$(call stamp,$(AGENT_LDFLAGS) $(LDFLAGS) $(TOOL_LIBS) $(AGENT_OBJ) $(TOOL_OBJ) $(CLI_OBJ) $(TARGET_OBJ))
FORCE:

# ---- generated -----------------------------------------------------------------------------------

GEN := $(OUT)/gen/proto/profile.pb-c.h
$(OUT)/gen/proto/profile.pb-c.c: $(GEN)
$(GEN): proto/profile.proto
	@mkdir -p $(@D)
	$(call say,GEN )protoc-c --c_out=$(OUT)/gen $<

# ---- agent ---------------------------------------------------------------------------------------

$(OUT)/agent/%.o: %.c $(OUT)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CPP) $(AGENT_FLAGS) -MMD -MP -c $< -o $@
$(OUT)/agent/proto/%.o: $(OUT)/gen/proto/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CPP) $(AGENT_FLAGS) -c $< -o $@
$(AGENT): $(AGENT_OBJ) $(OUT)/links
	$(call say,LINK)$(CC) $(AGENT_FLAGS) $(AGENT_LDFLAGS) $(LDFLAGS) $(AGENT_OBJ) $(PROTOBUF_C_A) -o $@

# ---- command -------------------------------------------------------------------------------------

$(OUT)/obj/%.o: %.c $(OUT)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CPP) $(TOOL_FLAGS) -MMD -MP -c $< -o $@
$(OUT)/obj/proto/%.o: $(OUT)/gen/proto/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CPP) $(TOOL_FLAGS) -c $< -o $@
$(OUT)/obj/symbolizer/flamegraph_svg.o: symbolizer/flamegraph.js
$(OUT)/obj/symbolizer/flamegraph_svg.o: symbolizer/flamegraph.js
$(TOOL): $(CLI_OBJ) $(TOOL_OBJ) $(OUT)/links
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $(CLI_OBJ) $(TOOL_OBJ) $(TOOL_LIBS) -o $@

# ---- tests ---------------------------------------------------------------------------------------

$(OUT)/obj/libtarget.a: $(TARGET_OBJ) $(OUT)/links
	@rm -f $@
	$(call say,AR  )$(AR) rcs $@ $(TARGET_OBJ)
$(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(UNIT_HELP_OBJ) $(TOOL_OBJ) $(OUT)/obj/libtarget.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ $(TOOL_LIBS) $(TEST_LIBS) -o $@
$(OUT)/tests/unit/test_sha256: $(OUT)/obj/cli/sha256.o
# A program says at the end of a comment, behind `flags:`, what it must be compiled and linked with.
program_flags = $$(sed -n '/flags:/,$${s,.*flags:,,;/\*\//{s,\*/.*,,;s,^ \*,,;p;q};s,^ \*,,;p}' $<)
$(OUT)/tests/programs/%: tests/programs/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) -D_GNU_SOURCE -O1 -g -std=gnu11 $(WARN) -MMD -MP -MF $@.d $< -o $@ $(program_flags)
$(OUT)/tests/programs/%: tests/programs/%.cc $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CXX )$(CXX) -O1 -g -Wall -Wextra -MMD -MP -MF $@.d $< -o $@ $(program_flags)

# The single-stepping test: a tracer, and code of many kinds without frame pointers, bound lazily.
STEP_OBJ    := $(addprefix $(OUT)/obj/tests/unwind/,step.o shadow.o step_code.o step_asm.o step_throw.o)
STEPPED     := -D_GNU_SOURCE -I. -O2 -g -fomit-frame-pointer -Wall -Wextra
$(OUT)/obj/tests/unwind/step_code.o: tests/unwind/step_code.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(STEPPED) -std=gnu11 -MMD -MP -c $< -o $@
$(OUT)/obj/tests/unwind/step_throw.o: tests/unwind/step_throw.cc $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CXX )$(CXX) $(STEPPED) -MMD -MP -c $< -o $@
$(OUT)/obj/tests/unwind/step_asm.o: tests/unwind/step_asm.S $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,AS  )$(CC) -MMD -MP -c $< -o $@
$(OUT)/tests/unwind/libstep.so: tests/unwind/step_library.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(STEPPED) -std=gnu11 -fPIC -shared -Wl,-soname,libstep.so $< -o $@
$(OUT)/tests/unwind/step: $(STEP_OBJ) $(TOOL_OBJ) $(OUT)/obj/libtarget.a $(OUT)/tests/unwind/libstep.so
	@mkdir -p $(@D)
	$(call say,LINK)$(CXX) $(LDFLAGS) $^ $(TOOL_LIBS) -Wl,-z,lazy -Wl,-rpath,'$$ORIGIN' -o $@

# The second opinion: an agent that keeps what libdw needs to walk each sample's stack again, and that walk.
CHECK_OBJ  := $(filter-out %/profiler/handler.o,$(AGENT_OBJ)) \
              $(addprefix $(OUT)/agent-check/,profiler/handler.o tests/unwind/second_opinion_hook.o)
$(OUT)/agent-check/%.o: %.c $(OUT)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(ALL_CPP) $(AGENT_FLAGS) -DHPP_SECOND_OPINION -MMD -MP -c $< -o $@
$(OUT)/tests/libhpprof-check.so: $(CHECK_OBJ) $(OUT)/links
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(AGENT_FLAGS) $(AGENT_LDFLAGS) $(LDFLAGS) $(CHECK_OBJ) $(PROTOBUF_C_A) -o $@
OPINION_OBJ := $(addprefix $(OUT)/obj/tests/unwind/,second_opinion.o opinion_classes.o)
$(OUT)/tests/unwind/second_opinion: $(OPINION_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ -ldw -lelf -o $@

# What make torture needs: programs, two of them linked with parts of ours.
$(OUT)/tests/torture/%: tests/torture/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) -D_GNU_SOURCE -O1 -g -std=gnu11 $(WARN) -MMD -MP -MF $@.d $< -o $@ $(program_flags)
$(OUT)/tests/torture/deliver: $(addprefix $(OUT)/obj/tests/torture/,deliver.o deliver_task.o)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ -o $@
$(OUT)/tests/torture/walks $(OUT)/tests/torture/swaps: $(OUT)/tests/torture/%: $(OUT)/obj/tests/torture/%.o $(TOOL_OBJ) $(OUT)/obj/libtarget.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ $(TOOL_LIBS) -o $@

# ---- fuzzing -------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(OUT)/%)
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/obj/tests/fuzz/fuzz_%.o $(TOOL_OBJ) $(OUT)/obj/libtarget.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) -fsanitize=fuzzer $(LDFLAGS) $^ $(TOOL_LIBS) -o $@
$(OUT)/tests/fuzz/make_seeds: $(OUT)/obj/tests/fuzz/make_seeds.o $(UNIT_HELP_OBJ) $(TOOL_OBJ) $(OUT)/obj/libtarget.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ $(TOOL_LIBS) $(TEST_LIBS) -o $@
# What was found before is kept in the corpus; what fails is left beside it, and make fails.
run-fuzz: $(FUZZ_BIN) $(OUT)/tests/fuzz/make_seeds
	@for target in $(FUZZ_BIN); do \
	    mkdir -p $$target.corpus && $(OUT)/tests/fuzz/make_seeds $$target.corpus && \
	    $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=40000 -print_final_stats=1 \
	        -artifact_prefix=$$target. $$target.corpus || exit 1; \
	done
fuzz:  ## fuzz what reads files of others, FUZZ_SECONDS (60) each, by clang's libFuzzer
	@scripts/deps.sh lint
	@+$(MAKE) --no-print-directory $(JOBS) V=fuzz run-fuzz

# ---- benchmarks ----------------------------------------------------------------------------------

# Linked with what they name of the agent's parts, as the agent has them.
PARTS_OBJ := $(filter-out $(OUT)/agent/preload/%,$(AGENT_OBJ))
$(OUT)/agent/libparts.a: $(PARTS_OBJ) $(OUT)/links
	@rm -f $@
	$(call say,AR  )$(AR) rcs $@ $(PARTS_OBJ)
$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(OUT)/agent/libparts.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(TOOL_FLAGS) $(LDFLAGS) $^ $(PROTOBUF_C_A) $(BENCH_LIBS) -o $@
# A hundred MiB of code without frame pointers.
$(OUT)/obj/bench/unwind_text.%.o: bench/unwind_text.S $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,AS  )$(CC) -DCHUNK=$* -c $< -o $@
$(OUT)/bench/libunwind_text.so: $(patsubst %,$(OUT)/obj/bench/unwind_text.%.o,0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -shared -nostdlib $^ -o $@
$(OUT)/bench/unwind: $(OUT)/bench/libunwind_text.so
$(OUT)/bench/unwind: BENCH_LIBS = -lunwind -Wl,-rpath,'$$ORIGIN'
# Where address and offset agree, as the backends file and cache need it.
$(OUT)/bench/remap_calls: $(OUT)/obj/bench/remap_calls.o $(OUT)/links
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -no-pie $(LDFLAGS) $< -o $@
# Against others: what bench/sampler.sh loads and runs.
$(OUT)/bench/sampler_work: bench/sampler_work.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) -D_GNU_SOURCE -O2 -std=gnu11 $(WARN) -fno-omit-frame-pointer -fno-optimize-sibling-calls $< -o $@ -pthread
$(OUT)/bench/libsampler_empty.so: bench/sampler_empty.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -D_GNU_SOURCE -O2 -std=gnu11 $(WARN) -fPIC -shared $< -o $@
bench-programs: $(BENCH_BIN)  ## build what demo and bench need besides the product

# ---- running -------------------------------------------------------------------------------------

CHECKS    := $(wildcard scripts/check-*.sh)
BATS      := $(wildcard tests/cli/*.bats tests/integration/*.bats)
TOOL_BATS := $(wildcard $(patsubst %,tests/cli/%.bats,report flamegraph symbolize perf_map merge usage cache unwind_table))
UNIT      := $(UNIT_SRC:%.c=%)
# What a run without T= runs: everything, or what a variant has.
SUITES    := $(if $(V),,$(BATS) $(CHECKS) $(UNIT)) $(patsubst %,$(or $(V),asan):%,$(TOOL_BATS) $(UNIT))
T         ?= $(SUITES)
JOBS       = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# Two steps: what the first installs, the second make sees.
test: deps-test  ## run all tests (T=FILE: only these; V=asan: command and unit tests under ASan and UBSan)
	@+$(MAKE) --no-print-directory $(JOBS) run-tests
run-tests: $(if $(V),,all programs unwind-programs torture-programs bench-programs) $(if $(V),tools) unit
	@+$(if $(V),,$(MAKE) --no-print-directory V=asan tools unit)
	@tests/run $(BUILD) $(T)

unwind-check: deps-test  ## walk the stacks of stock programs twice, by us and by libdw, and compare (some minutes)
	@+$(MAKE) --no-print-directory $(JOBS) all unwind-programs
	@tests/unwind/check.sh $(BUILD)

TORTURE ?= 1
torture: deps-test  ## what takes long: signals at every instruction, 10^6 walks, ... (TORTURE=0.1: a tenth of it)
	@+$(MAKE) --no-print-directory $(JOBS) all programs torture-programs
	@tests/torture/run.sh $(BUILD) $(TORTURE)

demo: deps  ## profile a compile and a program of ours, on huge pages where there are any
	@+$(MAKE) --no-print-directory $(JOBS) all bench-programs
	@bench/demo.sh $(BUILD)
bench: deps  ## measure what profiling costs (about four minutes)
	@+$(MAKE) --no-print-directory $(JOBS) all bench-programs
	@bench/run.sh $(BUILD)
bench-unwind: deps-test  ## measure what walking by unwind tables costs (about five minutes)
	@+$(MAKE) --no-print-directory $(JOBS) all bench-programs $(BENCH_UNWIND:%.c=$(OUT)/%)
	@bench/unwind.sh $(BUILD)
SCALE ?= 1
bench-sampler: deps-test  ## measure what sampling costs, beside perf, libprofiler and pprof-rs (ten minutes; SCALE=0.1, FIGURES=starts)
	@scripts/deps.sh bench || true # what cannot be had is not compared with
	@+$(MAKE) --no-print-directory $(JOBS) all bench-programs
	@bench/sampler.sh $(BUILD) $(SCALE) $(FIGURES)
bench-remap: deps-test  ## measure what moving text brings and costs, beside libhugetlbfs and page-primer (ten minutes; SCALE=0.1, FIGURES=calls)
	@scripts/deps.sh remap || true # what cannot be had is not measured
	@+$(MAKE) --no-print-directory $(JOBS) all programs bench-programs $(BENCH_REMAP:%.c=$(OUT)/%)
	@bench/remap.sh $(BUILD) $(SCALE) $(FIGURES)
bench-roots: deps-programs  ## which share of stock programs' stacks reach their root (about five minutes)
	@+$(MAKE) --no-print-directory $(JOBS) all
	@bench/unwind_programs.sh $(BUILD)

deps:       ## install what the build needs, if anything is missing
	@scripts/deps.sh build
deps-programs:
	@scripts/deps.sh programs
deps-test:  ## install what the tests need, if anything is missing
	@scripts/deps.sh test

MAN_PAGES := $(wildcard docs/man/*.[17])
check-layers:  ## hold the direction of includes between folders
	@scripts/check-layers.sh
check-agent: agent  ## hold what handler, writer and finished library may call, import and export
	@scripts/check-agent.sh $(OUT)
man: tools  ## make what is generated of the manual pages anew
	@for page in $(MAN_PAGES); do scripts/man.sh $(OUT) $$page >$$page.new && mv $$page.new $$page || exit 1; done
lint:  ## formatting, shell scripts, manual pages, file and function lengths, a build with clang where warnings are errors
	@scripts/deps.sh lint
	@+scripts/lint.sh

# ---- install -------------------------------------------------------------------------------------

install: all  ## install under PREFIX (default /usr/local), staged in DESTDIR
	install -D -m 755 $(TOOL) '$(DESTDIR)$(PREFIX)/bin/hpprof'
	install -D -m 755 $(AGENT) '$(DESTDIR)$(PREFIX)/lib/hpprof/libhpprof.so'
	install -D -m 644 include/hpprof.h '$(DESTDIR)$(PREFIX)/include/hpprof.h'
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/man/man1' docs/man/hpprof.1
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/man/man7' docs/man/libhpprof.7
uninstall:  ## remove what install wrote
	rm -f '$(DESTDIR)$(PREFIX)/bin/hpprof' '$(DESTDIR)$(PREFIX)/lib/hpprof/libhpprof.so' '$(DESTDIR)$(PREFIX)/include/hpprof.h' \
	    '$(DESTDIR)$(PREFIX)/share/man/man1/hpprof.1' '$(DESTDIR)$(PREFIX)/share/man/man7/libhpprof.7'
	-rmdir '$(DESTDIR)$(PREFIX)/lib/hpprof'

clean:  ## remove what was built
	rm -rf $(BUILD)
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@echo "  V=asan|tsan|cov|fuzz builds the command and the unit tests in build/V with that instrumentation"

.PHONY: all agent tools programs bench-programs torture torture-programs unwind-programs unwind-check unit test run-tests demo bench \
        bench-unwind bench-sampler bench-remap bench-roots deps deps-test deps-programs fuzz run-fuzz check-layers check-agent man lint \
        install uninstall clean help FORCE
# Objects stay: nothing that make made on its way to a test is temporary.
.SECONDARY:
-include $(AGENT_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TARGET_OBJ:.o=.d) $(PROG_BIN:=.d)
-include $(UNIT_SRC:%.c=$(OUT)/obj/%.d) $(UNIT_HELP_OBJ:.o=.d) $(patsubst %.c,$(OUT)/obj/%.d,$(BENCH_SRC) $(BENCH_UNWIND) $(BENCH_REMAP))
-include $(wildcard $(OUT)/tests/torture/*.d $(OUT)/obj/tests/torture/*.d)
-include $(STEP_OBJ:.o=.d) $(OPINION_OBJ:.o=.d) $(CHECK_OBJ:.o=.d)
