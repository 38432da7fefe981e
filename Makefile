# hpprof: `make help` lists the targets.

VERSION := 0.1.0
V       ?=
BUILD   := build$(if $(V),/$(V))
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
PKG_CONFIG ?= pkg-config

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

WARN     := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes
OPT      := -O2 -g
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -DHPP_VERSION='"$(VERSION)"'
CFLAGS   ?= $(OPT)
CFLAGS   += -std=gnu11 $(WARN)

SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANITIZE_tsan := -fsanitize=thread
SANITIZE_cov  := --coverage -O0
SANITIZE_fuzz := -fsanitize=fuzzer-no-link,address
TOOL_CFLAGS  := -fno-omit-frame-pointer $(SANITIZE_$(V))
# The agent runs inside other programs, in signal handlers, and on a thread-local block of its own.
AGENT_CFLAGS := -fPIC -fvisibility=hidden -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer \
                -fno-stack-protector -fno-exceptions -fno-plt -U_FORTIFY_SOURCE
AGENT_LDFLAGS := -shared -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,-z,defs \
                 -Wl,--exclude-libs,ALL -Wl,-soname,libhpprof.so

TOOL_LIBS := $(shell $(PKG_CONFIG) --libs libelf libprotobuf-c zlib 2>/dev/null) -liberty
TEST_LIBS := -lcmocka
PROTOBUF_C_A := $(shell $(PKG_CONFIG) --variable=libdir libprotobuf-c 2>/dev/null)/libprotobuf-c.a

AGENT_SRC := $(wildcard common/*.c profiler/*.c preload/*.c)
TOOL_SRC  := $(wildcard common/*.c symbolizer/*.c)
CLI_SRC   := $(wildcard cli/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
PROG_SRC  := $(wildcard tests/programs/*.c)

GEN       := $(BUILD)/gen/proto/profile.pb-c.h
AGENT_OBJ := $(AGENT_SRC:%.c=$(BUILD)/agent/%.o) $(BUILD)/agent/proto/profile.pb-c.o
TOOL_OBJ  := $(TOOL_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/proto/profile.pb-c.o
CLI_OBJ   := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
UNIT_BIN  := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)
PROG_BIN  := $(PROG_SRC:tests/programs/%.c=$(BUILD)/tests/programs/%)

AGENT := $(BUILD)/libhpprof.so
TOOL  := $(BUILD)/hpprof

all: $(if $(V),,$(AGENT)) $(TOOL)  ## build the agent and the command

# ---- what every object depends on: the flags it was compiled with --------------------------------

FLAGS_NOW := $(CC) $(CPPFLAGS) $(CFLAGS) $(TOOL_CFLAGS) $(AGENT_CFLAGS) $(LDFLAGS) $(TOOL_LIBS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_NOW))' > $@
FORCE:

# ---- generated -----------------------------------------------------------------------------------

$(BUILD)/gen/proto/profile.pb-c.c: $(GEN)
$(BUILD)/gen/proto/profile.pb-c.h: proto/profile.proto
	@mkdir -p $(@D)
	protoc-c --c_out=$(BUILD)/gen $<

# ---- agent ---------------------------------------------------------------------------------------

$(BUILD)/agent/%.o: %.c $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(AGENT_CFLAGS) -DHPP_AGENT -MMD -MP -c $< -o $@
$(BUILD)/agent/proto/%.o: $(BUILD)/gen/proto/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(AGENT_CFLAGS) -c $< -o $@
$(AGENT): $(AGENT_OBJ)
	$(CC) $(CFLAGS) $(AGENT_LDFLAGS) $^ $(PROTOBUF_C_A) -o $@

# ---- command -------------------------------------------------------------------------------------

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(TOOL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/obj/proto/%.o: $(BUILD)/gen/proto/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(TOOL_CFLAGS) -c $< -o $@
$(TOOL): $(CLI_OBJ) $(TOOL_OBJ)
	$(CC) $(CFLAGS) $(TOOL_CFLAGS) $(LDFLAGS) $^ $(TOOL_LIBS) -o $@

# ---- tests ---------------------------------------------------------------------------------------

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(TOOL_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(TOOL_CFLAGS) $(LDFLAGS) $^ $(TOOL_LIBS) $(TEST_LIBS) -o $@
# A program says in a line `// flags: …` or `/* flags: … */` what it must be compiled and linked with.
$(BUILD)/tests/programs/%: tests/programs/%.c $(wildcard tests/programs/*.h) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -O1 -g -std=gnu11 $(WARN) $< -o $@ $$(sed -n 's,.*flags: \(.*[^ */]\).*,\1,p' $<)

programs: $(PROG_BIN)
unit: $(UNIT_BIN)

clean:  ## remove what was built
	rm -rf build

.PHONY: all programs unit clean FORCE
-include $(AGENT_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_SRC:%.c=$(BUILD)/obj/%.d)
