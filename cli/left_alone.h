/* Why a program cannot be reached by LD_PRELOAD, or is left alone by the agent. Offline only. */
#ifndef HPP_CLI_LEFT_ALONE_H
#define HPP_CLI_LEFT_ALONE_H

/* COMMAND is looked for as execvp does it. Returns what to say after its name, or NULL if nothing is known
 * against it. */
const char *hpp_left_alone(const char *command);

#endif
