/* What the agent of the second-opinion test (second_opinion_hook.c) leaves for the offline check
 * (second_opinion.c): a file of records, each with its size first, bumped up from the header. Test only. */
#ifndef HPP_TESTS_SECOND_OPINION_H
#define HPP_TESTS_SECOND_OPINION_H

#include <stdint.h>

#define OPINION_MAGIC     0x326e6f696e69706full
#define OPINION_STACK_MAX (1u << 20)
#define OPINION_REGISTERS 17 /* DWARF's numbers 0 to 15, then the pc (AMD64 ABI, 3.6.2) */

struct opinion_file {
    uint64_t magic;
    uint64_t size; /* of the file */
    _Atomic uint64_t
        used; /* bytes asked for, this header included; may pass SIZE: the rest was not recorded */
    _Atomic uint64_t unlogged; /* samples for which there was no room */
};

enum opinion_kind { OPINION_SAMPLE = 1, OPINION_CODE = 2 };

struct opinion_record {
    uint64_t size; /* of all of it; a multiple of 8 */
    uint32_t kind; /* 0: not completed */
    uint32_t pid;
};

/* A sample: registers and stack as the handler found them, and what the agent's walk made of them. */
struct opinion_sample {
    struct opinion_record record;
    uint64_t code; /* generation of the code map */
    uint64_t registers[OPINION_REGISTERS];
    uint64_t stack;      /* address of the first byte of the copy */
    uint64_t stack_size; /* bytes copied */
    uint64_t stop;
    uint64_t agent_start, agent_end; /* the agent's text: under it lies what is not part of the stack */
    uint32_t end;                    /* enum hpp_walk_end */
    uint32_t count;                  /* frames */
    uint32_t untold;
    uint32_t reserved;
    uint64_t frames[]; /* then the stack */
};

/* A code map: count of ranges, then each with its path. */
struct opinion_range {
    uint64_t start, end;
    uint64_t bias; /* run-time minus link-time address */
    char path[256];
};

struct opinion_code {
    struct opinion_record record;
    uint64_t code;
    uint64_t count;
    struct opinion_range ranges[];
};

#endif
