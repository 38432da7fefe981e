/* The agent's state that the interposed functions ask for. */
#ifndef HPP_PRELOAD_AGENT_H
#define HPP_PRELOAD_AGENT_H

/* Whether the calling process is being sampled: started, and not a vfork child or other process that
 * only shares or copied the memory. */
int hpp_agent_is_active(void);

#endif
