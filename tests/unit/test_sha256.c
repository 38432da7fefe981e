/* SHA-256 against the examples of FIPS 180-4 and RFC 6234, and sha256sum. */
#include "cli/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void digest_of(const void *bytes, size_t size, size_t piece, char text[65])
{
    struct hpp_sha256 hash;
    uint8_t digest[32];

    hpp_sha256_begin(&hash);
    for (size_t done = 0; done < size; done += piece)
        hpp_sha256_add(&hash, (const char *)bytes + done, size - done < piece ? size - done : piece);
    hpp_sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void test_examples(void **state)
{
    static const struct {
        const char *message, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsm"
         "nopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char text[65];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        digest_of(cases[i].message, strlen(cases[i].message), 1000, text);
        assert_string_equal(text, cases[i].digest);
    }
}

static void test_million(void **state)
{
    char *bytes = malloc(1000000), text[65];

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'a', 1000000);
    digest_of(bytes, 1000000, 4099, text);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(bytes);
}

/* Every length around the block's, in pieces of every kind, is what coreutils say. */
static void test_lengths(void **state)
{
    char whole[65], pieces[65], line[65], path[] = "/tmp/hpprof-sha256-XXXXXX", command[128];
    uint8_t bytes[300];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + (i >> 3));
    for (size_t size = 0; size <= sizeof bytes; size++) {
        digest_of(bytes, size, sizeof bytes, whole);
        for (size_t piece = 1; piece < 131; piece += 13) {
            digest_of(bytes, size, piece, pieces);
            assert_string_equal(pieces, whole);
        }
        if (size % 64 > 1 && size % 64 < 54)
            continue;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, size, 0), size);
        snprintf(command, sizeof command, "sha256sum %s", path);
        FILE *sum = popen(command, "r");
        assert_non_null(sum);
        assert_non_null(fgets(line, sizeof line, sum));
        pclose(sum);
        assert_string_equal(line, whole);
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
