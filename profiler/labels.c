/* The table of labels: an index by hash whose places are taken by one compare-and-swap, and texts that are
 * put there before. */
#include "profiler/labels.h"

#include <stdatomic.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/sys.h"
#include "common/text.h"
#include "profiler/signal_safe.h"

#define INDEX      (2 * HPP_LABELS)
#define TEXT_BYTES (8u << 20)

static struct table {
    _Atomic uint32_t count;             /* numbers given, some in vain */
    _Atomic uint32_t text_used;         /* bytes of text */
    _Atomic uint32_t index[INDEX];      /* numbers; 0: free */
    _Atomic uint32_t place[HPP_LABELS]; /* where in text: the key, 0, the value, 0 */
    char text[TEXT_BYTES];
} * _Atomic the_table;

static _Atomic uint64_t the_refused;

/* Mapped at the first use; of two threads one has its own taken back. */
static struct table *table(void)
{
    struct table *present = atomic_load(&the_table), *made;

    if (present)
        return present;
    made = hpp_arena_map(sizeof *made);
    if (made && !atomic_compare_exchange_strong(&the_table, &present, made)) {
        hpp_sys_munmap((uint64_t)(uintptr_t)made, sizeof *made);
        return present;
    }
    return made;
}

static size_t bounded_length(const char *text)
{
    size_t length = 0;

    while (length < HPP_LABEL_LENGTH && text[length])
        length++;
    return length;
}

static int is_ours(const char *key)
{
    static const char *const own[] = {"thread", "tid", "time", "process", "pid"};

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (hpp_text_equal(key, own[i]))
            return 1;
    return 0;
}

/* Whether AT holds these LENGTH bytes and an end. */
static int is_text(const char *at, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (at[i] != text[i])
            return 0;
    return !at[length];
}

/* A new number for the pair, whose lengths are given; 0 where there is no room. */
static uint32_t add(struct table *table, const char *key, size_t key_length, const char *value,
                    size_t value_length)
{
    uint32_t size = (uint32_t)(key_length + value_length + 2), place, number;

    if (atomic_load(&table->count) >= HPP_LABELS - 1 || atomic_load(&table->text_used) > TEXT_BYTES - size)
        return 0;
    place = atomic_fetch_add(&table->text_used, size);
    number = atomic_fetch_add(&table->count, 1) + 1;
    if (number >= HPP_LABELS || place > TEXT_BYTES - size)
        return 0;
    for (size_t i = 0; i < key_length; i++)
        table->text[place + i] = key[i];
    for (size_t i = 0; i < value_length; i++)
        table->text[place + key_length + 1 + i] = value[i];
    atomic_store(&table->place[number], place);
    return number;
}

uint32_t hpp_labels_intern(const char *key, const char *value)
{
    struct table *labels;
    size_t key_length, value_length;
    uint32_t hash = 2166136261u, made = 0;

    if (!key || !*key || !value || !*value || is_ours(key))
        return 0;
    labels = table();
    key_length = bounded_length(key);
    value_length = bounded_length(value);
    for (size_t i = 0; i < key_length; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619u;
    hash *= 16777619u;
    for (size_t i = 0; i < value_length; i++)
        hash = (hash ^ (unsigned char)value[i]) * 16777619u;
    for (uint32_t i = 0; labels && i < INDEX; i++) {
        _Atomic uint32_t *slot = &labels->index[(hash + i) & (INDEX - 1)];
        uint32_t number = atomic_load(slot);
        if (!number) {
            if (!made)
                made = add(labels, key, key_length, value, value_length);
            if (!made)
                break;
            if (atomic_compare_exchange_strong(slot, &number, made))
                return made;
        }
        const char *text = labels->text + atomic_load(&labels->place[number]);
        if (is_text(text, key, key_length) && is_text(text + key_length + 1, value, value_length))
            return number;
    }
    atomic_fetch_add(&the_refused, 1);
    return 0;
}

int hpp_labels_get(uint32_t number, const char **key, const char **value)
{
    const struct table *labels = atomic_load(&the_table);

    if (!number || number >= HPP_LABELS || !labels || number > atomic_load(&labels->count))
        return 0;
    *key = labels->text + atomic_load(&labels->place[number]);
    *value = *key + hpp_text_length(*key) + 1;
    return 1;
}

uint64_t hpp_labels_refused(void)
{
    return atomic_load(&the_refused);
}
