/* The shared object that late.c loads after the start.
 * flags: -shared -fPIC -fno-omit-frame-pointer */
#include "burn.h"
#include "padding.h"

void plugin_run(double seconds);

BURN_FUNCTION(plugin_work, 13)

void plugin_run(double seconds)
{
    plugin_work(seconds);
    burn_sink++;
}
