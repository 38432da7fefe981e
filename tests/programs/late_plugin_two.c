/* Another like late_plugin.c, of the same size.
 * flags: -shared -fPIC -fno-omit-frame-pointer */
#define plugin_work plugin_two
#include "late_plugin.c"
