/* Writes the comments of preload/. The writer, of what start-up code has left it. */
#include "preload/head_comments.h"

#include "common/options.h"
#include "common/text.h"
#include "preload/remap/data.h"
#include "preload/remap/hot.h"
#include "preload/source_choice.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"

#define LINE (HPP_PATH_MAX + 512)

static struct {
    const struct hpp_agent_options *options;
    const struct hpp_remap_list *remap;
    unsigned inherited; /* the first records: what the parent did */
    unsigned told;      /* records that the profile has */
    int is_child;
    int introduced;
} the_head;

static void put_field(struct hpp_text *text, const char *key, const char *value)
{
    hpp_text_put(text, " ");
    hpp_text_put(text, key);
    hpp_text_put(text, "=");
    hpp_text_put(text, value);
}

static void put_number(struct hpp_text *text, const char *key, uint64_t number)
{
    put_field(text, key, "");
    hpp_text_put_number(text, number);
}

static void put_hex(struct hpp_text *text, const char *key, uint64_t number)
{
    put_field(text, key, "0x");
    hpp_text_put_hex(text, number);
}

static void put_reason(struct hpp_text *text, const char *key, const char *reason)
{
    put_field(text, key, "'");
    hpp_text_put(text, reason);
    hpp_text_put(text, "'");
}

/* The errno, of either sign, that comes with a reason, where one does. */
static void put_error(struct hpp_text *text, long error)
{
    if (error)
        put_reason(text, "error", hpp_text_error(error));
}

/* The word of a CHOICE option's list at INDEX. */
static void put_choice(struct hpp_text *text, const char *key, enum hpp_option_id id, unsigned index)
{
    size_t length;
    const char *word = hpp_option_word(&hpp_options[id], index, &length);

    put_field(text, key, "");
    hpp_text_put_bytes(text, word, length);
}

static void add(struct hpp_text *text)
{
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, text->data);
}

static const char *program_path(void)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);
    const struct hpp_code_range *range = map ? hpp_image_find(map, hpp_writer.entry) : NULL;

    return range ? range->segment->image->path : "unknown";
}

static void comment_process(void)
{
    const struct hpp_agent_options *options = the_head.options;
    char line[LINE];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof.process");
    put_number(&text, "pid", (uint64_t)hpp_sampler.pid);
    put_number(&text, "started", hpp_writer.file.started);
    put_number(&text, "freq", options->frequency);
    hpp_source_describe(&text, options);
    put_choice(&text, "unwind", HPP_OPT_UNWIND, options->unwind);
    put_choice(&text, "validate", HPP_OPT_VALIDATE, options->validate);
    put_choice(&text, "remap", HPP_OPT_REMAP, options->remap.how);
    put_field(&text, "image", program_path());
    add(&text);
    if (!hpp_source_refusal()[0])
        return;
    text = HPP_TEXT(line);
    hpp_text_put(&text, "hpprof.note text='");
    hpp_text_put(&text, hpp_source_refusal());
    hpp_text_put(&text, "'");
    add(&text);
}

/* Fork children have nothing pinned. */
static void put_locked(struct hpp_text *text, const struct hpp_remap_record *record)
{
    put_number(text, "locked_kib", record->locked >> 10);
    if (!record->not_locked)
        return;
    put_reason(text, "not_locked", record->not_locked);
}

static void comment_range(const struct hpp_remap_record *record, int inherited)
{
    char line[LINE];
    struct hpp_text text = HPP_TEXT(line);

    if (record->reason) {
        hpp_text_put(&text, "hpprof.left");
        put_number(&text, "eligible_kib", (record->end - record->start) >> 10);
        put_reason(&text, "reason", record->reason);
        put_error(&text, record->error);
    } else {
        hpp_text_put(&text, "hpprof.remap");
        put_field(&text, "backend", record->backend);
        put_hex(&text, "start", record->start);
        put_hex(&text, "end", record->end);
        put_number(&text, "asked_kib", (record->end - record->start) >> 10);
        put_number(&text, "huge_kib", record->huge >> 10);
        put_field(&text, "ms", "");
        hpp_text_put_thousandths(&text, inherited ? 0 : record->microseconds);
        put_field(&text, "when", record->hot ? "hot" : "start");
        if (record->absorbed) {
            put_number(&text, "absorbed_kib", record->absorbed >> 10);
            put_number(&text, "executable_data_kib", record->data >> 10);
        }
        if (the_head.options->remap.lock && !inherited)
            put_locked(&text, record);
    }
    if (inherited)
        put_number(&text, "inherited", 1);
    put_field(&text, "image", record->segment ? record->segment->image->path : program_path());
    add(&text);
}

static void comment_data(const struct hpp_remap_data *data, int inherited)
{
    char line[LINE];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof.data");
    put_number(&text, "eligible_kib", data->eligible >> 10);
    put_number(&text, "huge_kib", data->huge >> 10);
    put_number(&text, "when_touched_kib", data->advised >> 10);
    put_field(&text, "ms", "");
    hpp_text_put_thousandths(&text, inherited ? 0 : data->microseconds);
    if (data->reason) {
        put_reason(&text, "reason", data->reason);
        put_error(&text, data->error);
    }
    if (inherited)
        put_number(&text, "inherited", 1);
    put_field(&text, "image", program_path());
    add(&text);
}

static void describe(int at_end)
{
    if (!the_head.introduced) {
        hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, "hpprof version=" HPP_VERSION " format=1");
        comment_process();
        if (the_head.options->remap.data && the_head.options->remap.how != HPP_REMAP_OFF)
            comment_data(hpp_remap_data(), the_head.is_child);
    }
    the_head.introduced = 1;
    if (the_head.options->remap.how != HPP_REMAP_OFF)
        hpp_hot_comment(at_end);
    for (; the_head.told < the_head.remap->count; the_head.told++)
        comment_range(&the_head.remap->records[the_head.told], the_head.told < the_head.inherited);
    if (the_head.options->remap.how != HPP_REMAP_OFF)
        hpp_hot_comment_ranges(at_end);
}

void hpp_head_comments(const struct hpp_agent_options *options, const struct hpp_remap_list *remap,
                       int inherited)
{
    the_head.options = options;
    the_head.remap = remap;
    the_head.inherited = inherited ? remap->count : 0;
    the_head.is_child = inherited;
    the_head.told = 0;
    the_head.introduced = 0;
    hpp_writer.describe = describe;
}
