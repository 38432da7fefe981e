/* text_check as a program linked to a fixed address (ET_EXEC).
 * flags: -no-pie -fno-omit-frame-pointer */
#include "text_check.c"
