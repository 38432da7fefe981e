/* Whether the agent must not start in this process. Start-up code. */
#ifndef HPP_PRELOAD_REFUSAL_H
#define HPP_PRELOAD_REFUSAL_H

/* Asked once: where it may start, no further copy of the library may. */
int hpp_agent_is_refused(char **environment);

#endif
