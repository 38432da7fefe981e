/* The table of labels: equal pairs one number, whoever asks, and bounded. */
#include "profiler/labels.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "profiler/aggregate.h"

enum { THREADS = 4, PAIRS = 500 };

static void expect(uint32_t number, const char *key, const char *value)
{
    const char *found_key, *found_value;

    assert_int_not_equal(number, 0);
    assert_true(hpp_labels_get(number, &found_key, &found_value));
    assert_string_equal(found_key, key);
    assert_string_equal(found_value, value);
}

static void test_pairs(void **state)
{
    const char *key, *value;
    uint32_t a = hpp_labels_intern("k", "vw"), b = hpp_labels_intern("kv", "w");

    (void)state;
    expect(a, "k", "vw");
    expect(b, "kv", "w");
    assert_int_not_equal(a, b);
    assert_int_equal(hpp_labels_intern("k", "vw"), a);
    assert_int_equal(hpp_labels_intern("", "x"), 0);
    assert_int_equal(hpp_labels_intern("x", ""), 0);
    assert_int_equal(hpp_labels_intern(NULL, "x"), 0);
    assert_int_equal(hpp_labels_intern("time", "x"), 0);
    assert_false(hpp_labels_get(0, &key, &value));
    assert_false(hpp_labels_get(HPP_LABELS, &key, &value));
    assert_false(hpp_labels_get(60000, &key, &value));
    assert_int_equal(hpp_labels_refused(), 0);
}

static void test_long(void **state)
{
    char text[HPP_LABEL_LENGTH + 100], cut[HPP_LABEL_LENGTH + 1];
    uint32_t number;

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    memset(cut, 'a', HPP_LABEL_LENGTH);
    cut[HPP_LABEL_LENGTH] = 0;
    number = hpp_labels_intern(text, text);
    expect(number, cut, cut);
    assert_int_equal(hpp_labels_intern(cut, text), number);
}

static void *intern_all(void *numbers)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%u", i);
        ((uint32_t *)numbers)[i] = hpp_labels_intern("shared", value);
    }
    return NULL;
}

static void test_threads(void **state)
{
    static uint32_t numbers[THREADS][PAIRS];
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, intern_all, numbers[i]);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PAIRS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%u", i);
        expect(numbers[0][i], "shared", value);
        for (unsigned j = 1; j < THREADS; j++)
            assert_int_equal(numbers[j][i], numbers[0][i]);
    }
}

/* As strings of a profile: a key once, bytes that are not UTF-8 replaced. */
static void test_strings(void **state)
{
    struct hpp_aggregate aggregate;
    uint32_t key, value, other_key, other_value, strings;

    (void)state;
    hpp_aggregate_init(&aggregate);
    assert_int_equal(hpp_aggregate_label(&aggregate, hpp_labels_intern("route", "/a\xff"), &key, &value), 0);
    assert_string_equal(aggregate.strings[key], "route");
    assert_string_equal(aggregate.strings[value], "/a?");
    assert_int_equal(
        hpp_aggregate_label(&aggregate, hpp_labels_intern("route", "/b"), &other_key, &other_value), 0);
    assert_int_equal(key, other_key);
    strings = aggregate.string_count;
    assert_int_equal(
        hpp_aggregate_label(&aggregate, hpp_labels_intern("route", "/b"), &other_key, &other_value), 0);
    assert_int_equal(aggregate.string_count, strings);
    assert_int_not_equal(hpp_aggregate_label(&aggregate, 64000, &key, &value), 0);
    hpp_arena_release(&aggregate.arena);
    hpp_arena_release(&aggregate.stack_arena);
    hpp_arena_release(&aggregate.before_arena);
}

static void test_full(void **state)
{
    uint32_t numbers = 0;

    (void)state;
    for (unsigned i = 0; i < HPP_LABELS; i++) {
        char value[16];
        snprintf(value, sizeof value, "f%u", i);
        numbers += hpp_labels_intern("full", value) != 0;
    }
    assert_in_range(numbers, HPP_LABELS - PAIRS * THREADS - 20, HPP_LABELS - PAIRS);
    assert_int_equal(hpp_labels_refused(), HPP_LABELS - numbers);
    expect(hpp_labels_intern("full", "f0"), "full", "f0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),   cmocka_unit_test(test_long), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
