/* SHA-256 (FIPS 180-4), for the contents of copies of text. Offline only. */
#ifndef HPP_CLI_SHA256_H
#define HPP_CLI_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct hpp_sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[64];
};

void hpp_sha256_begin(struct hpp_sha256 *hash);
void hpp_sha256_add(struct hpp_sha256 *hash, const void *bytes, size_t size);
void hpp_sha256_end(struct hpp_sha256 *hash, uint8_t digest[32]);

#endif
