/* Writes a program with a given amount of text, made of functions of 4 KiB that hold no padding:
 * `gen_text DIR MIB` makes DIR/text.bin and DIR/text.c (compile there with `cc text.c`) and prints
 * the checksum that the program prints too when it has called every function, so many times over as its
 * argument says; on stderr it says how many KiB of its code are on huge pages. x86-64 code. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTION_SIZE = 4096, PAIR_SIZE = 11 };

static uint64_t state = 88172645463325252u;

static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

/* One function `uint32_t f(uint32_t)`: as many `imul; xor` with drawn constants as it has room for.
 * Returns what it gives for VALUE. */
static uint32_t write_function(unsigned char *code, uint32_t value)
{
    unsigned char *at = code;
    *at++ = 0x89, *at++ = 0xf8; /* mov eax, edi */
    while (at + PAIR_SIZE + 1 <= code + FUNCTION_SIZE) {
        uint32_t factor = draw() | 1, mask = draw();
        *at++ = 0x69, *at++ = 0xc0; /* imul eax, eax, factor */
        memcpy(at, &factor, 4), at += 4;
        *at++ = 0x35; /* xor eax, mask */
        memcpy(at, &mask, 4), at += 4;
        value = value * factor ^ mask;
    }
    *at++ = 0xc3;                     /* ret */
    while (at < code + FUNCTION_SIZE) /* never run, but compared */
        *at++ = (unsigned char)draw();
    return value;
}

static FILE *create(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    if (!file) {
        fprintf(stderr, "gen_text: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return file;
}

static const char program[] =
    "#include <stdint.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "__asm__(\".pushsection .text.big, \\\"ax\\\", @progbits\\n.p2align 12\\n\"\n"
    "        \".globl big_text\\n.type big_text, @function\\nbig_text:\\n\"\n"
    "        \".incbin \\\"text.bin\\\"\\n.size big_text, .-big_text\\n.popsection\\n\");\n"
    "extern const char big_text[];\n"
    "static long huge_kib(void)\n"
    "{\n"
    "    FILE *smaps = fopen(\"/proc/self/smaps\", \"r\");\n"
    "    char line[4352], mode[5] = \"\";\n"
    "    long sum = 0, kib;\n"
    "    while (smaps && fgets(line, sizeof(line), smaps))\n"
    "        if (sscanf(line, \"%*x-%*x %4s\", mode) != 1 && mode[2] == 'x' &&\n"
    "            sscanf(line, \"AnonHugePages: %ld\", &kib) == 1)\n"
    "            sum += kib;\n"
    "    return sum;\n"
    "}\n"
    "int main(int argc, char **argv)\n"
    "{\n"
    "    uint32_t value = 1;\n"
    "    for (long i = 0; i < FUNCTIONS * (argc > 1 ? atol(argv[1]) : 1); i++)\n"
    "        value = ((uint32_t(*)(uint32_t))(big_text + i % FUNCTIONS * 4096))(i % FUNCTIONS ? value : 1);\n"
    "    printf(\"%08x\\n\", value);\n"
    "    fprintf(stderr, \"huge_kib=%ld\\n\", huge_kib());\n"
    "    return 0;\n"
    "}\n";

int main(int argc, char **argv)
{
    long functions = argc == 3 ? atol(argv[2]) * (1048576 / FUNCTION_SIZE) : 0;
    if (functions <= 0) {
        fprintf(stderr, "usage: gen_text DIR MIB\n");
        return 2;
    }
    FILE *text = create(argv[1], "text.bin"), *source = create(argv[1], "text.c");
    uint32_t value = 1;
    for (long i = 0; i < functions; i++) {
        unsigned char code[FUNCTION_SIZE];
        value = write_function(code, value);
        fwrite(code, sizeof(code), 1, text);
    }
    fprintf(source, "enum { FUNCTIONS = %ld };\n%s", functions, program);
    if (fclose(text) || fclose(source)) {
        fprintf(stderr, "gen_text: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    printf("%08x\n", value);
    return 0;
}
