/* Where a process's profile goes. Start-up code and fork children. */
#ifndef HPP_PRELOAD_OUTPUT_PATH_H
#define HPP_PRELOAD_OUTPUT_PATH_H

#include "preload/options.h"
#include "profiler/pprof_append.h"

/* Sets FILE's path, and the folder to be made for it if there is one, for the process PID of PROGRAM (its
 * base name): the first process     OPTIONS->out, %e and %p replaced, made absolute in the current folder its
 * descendants       FOLDER/hpprof.PROGRAM.PID.pb in a session          OPTIONS->session/hpprof.PROGRAM.PID.pb
 * FOLDER is the first process's folder for descendants, or NULL in the first process itself; it stays. */
void hpp_output_path(struct hpp_pprof_file *file, const struct hpp_agent_options *options, const char *folder,
                     const char *program, int pid);

/* Writes the folder for descendants of the process that writes PATH: PATH without ".pb", with ".d". */
void hpp_output_folder(const char *path, char *folder, unsigned size);

#endif
