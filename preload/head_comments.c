/* Writes the head comments. The writer, of what start-up code has left it. */
#include "preload/head_comments.h"

#include "common/options.h"
#include "common/text.h"
#include "preload/source_choice.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"

#define LINE (HPP_PATH_MAX + 512)

static struct {
    const struct hpp_agent_options *options;
    const struct hpp_remap_list *remap;
    int inherited;
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
    put_choice(&text, "remap", HPP_OPT_REMAP, options->remap);
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

static void comment_range(const struct hpp_remap_record *record)
{
    char line[LINE];
    struct hpp_text text = HPP_TEXT(line);

    if (record->reason) {
        hpp_text_put(&text, "hpprof.left");
        put_number(&text, "eligible_kib", (record->end - record->start) >> 10);
        put_field(&text, "reason", "'");
        hpp_text_put(&text, record->reason);
        hpp_text_put(&text, "'");
    } else {
        hpp_text_put(&text, "hpprof.remap");
        put_field(&text, "backend", "anon");
        put_hex(&text, "start", record->start);
        put_hex(&text, "end", record->end);
        put_number(&text, "asked_kib", (record->end - record->start) >> 10);
        put_number(&text, "huge_kib", record->huge >> 10);
        put_field(&text, "ms", "");
        hpp_text_put_thousandths(&text, the_head.inherited ? 0 : record->microseconds);
    }
    if (the_head.inherited)
        put_number(&text, "inherited", 1);
    put_field(&text, "image", record->segment ? record->segment->image->path : program_path());
    add(&text);
}

static void introduce(void)
{
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, "hpprof version=" HPP_VERSION " format=1");
    comment_process();
    for (unsigned i = 0; i < the_head.remap->count; i++)
        comment_range(&the_head.remap->records[i]);
}

void hpp_head_comments(const struct hpp_agent_options *options, const struct hpp_remap_list *remap,
                       int inherited)
{
    the_head.options = options;
    the_head.remap = remap;
    the_head.inherited = inherited;
    hpp_writer.introduce = introduce;
}
