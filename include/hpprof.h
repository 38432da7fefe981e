/* hpprof.h: what a program can tell the profiler that may be loaded into it (LD_PRELOAD=libhpprof.so, or
 * hpprof record). Nothing is linked: the functions are looked up once, at the first call; without the agent
 * they do nothing, at the cost of a call. C99 and C++, in programs and libraries of any kind but statically
 * linked ones (and before glibc 2.34, link with -ldl). All may be called by any thread. */
#ifndef HPPROF_H
#define HPPROF_H

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the agent exports, by the name hpprof_api; new functions come at the end. Not for use: see below. */
struct hpprof_api {
    uint32_t size; /* of this structure in the agent */
    uint32_t (*label_intern)(const char *key, const char *value);
    uint32_t (*label_swap)(uint32_t label);
    int (*start)(void);
    int (*stop)(void);
    int (*flush)(void);
};

#define HPPROF_INLINE static __inline__ __attribute__((__unused__))

HPPROF_INLINE uint32_t hpprof_no_intern_(const char *key, const char *value)
{
    (void)key;
    (void)value;
    return 0;
}

HPPROF_INLINE uint32_t hpprof_no_swap_(uint32_t label)
{
    (void)label;
    return 0;
}

HPPROF_INLINE int hpprof_no_agent_(void)
{
    return -ENOSYS;
}

HPPROF_INLINE const struct hpprof_api *hpprof_api_(void)
{
    static const struct hpprof_api none = {sizeof(struct hpprof_api), hpprof_no_intern_, hpprof_no_swap_,
                                           hpprof_no_agent_,          hpprof_no_agent_,  hpprof_no_agent_};
    static const struct hpprof_api *known;
    const struct hpprof_api *api = __atomic_load_n(&known, __ATOMIC_ACQUIRE);

    if (!api) {
        api = (const struct hpprof_api *)dlsym((void *)0 /* RTLD_DEFAULT */, "hpprof_api");
        if (!api || api->size < sizeof none) {
            dlerror(); /* not for the program */
            api = &none;
        }
        __atomic_store_n(&known, api, __ATOMIC_RELEASE);
    }
    return api;
}

/* ---- labels ------------------------------------------------------------------------------------------- */

/* The number of the label KEY=VALUE; equal pairs have the same number for as long as the process lives, and
 * in the children it forks. There are 65,535; texts of more than 255 bytes are cut. 0, which is no label:
 * without the agent, when there is no room, if a text is empty, or KEY one of hpprof's own (thread, tid,
 * time, process, pid). Call it once for each pair, and keep the number. */
HPPROF_INLINE uint32_t hpp_label_intern(const char *key, const char *value)
{
    return hpprof_api_()->label_intern(key, value);
}

/* From now on the calling thread's samples have LABEL (0: none). Returns what they had before: put that back
 * at the end of the piece of work. It costs one load and one store: a scheduler of coroutines can call it at
 * each switch, and so can a server at each request. */
HPPROF_INLINE uint32_t hpp_label_swap(uint32_t label)
{
    return hpprof_api_()->label_swap(label);
}

/* ---- what is profiled ------------------------------------------------------------------------------- */

/* Each returns 0, or a negative error number: -ENOSYS where no agent is, or it does not profile this process.
 * start and stop are for all threads; HPPROF_START=off begins as if stopped. Starting twice is starting once.
 * CPU time between stop and start is not in the profile. -EBUSY: another call is at it. */
HPPROF_INLINE int hpp_start(void)
{
    return hpprof_api_()->start();
}

HPPROF_INLINE int hpp_stop(void)
{
    return hpprof_api_()->stop();
}

/* Returns when all samples so far are in the file: 0, or the error of writing; -ETIMEDOUT after 5 s. */
HPPROF_INLINE int hpp_flush(void)
{
    return hpprof_api_()->flush();
}

#ifdef __cplusplus
}
#endif

#endif
