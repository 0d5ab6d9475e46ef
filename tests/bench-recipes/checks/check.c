// A health check that always passes: what is left is what a call costs.
#include "health_check.h"

#include <string.h>

bool exports_health_check_check(health_check_report_t *ret, health_check_string_t *err)
{
    (void)err;
    cerebro_recipe_context_instance_t instance;
    cerebro_recipe_context_get(&instance);
    memset(ret, 0, sizeof *ret);
    ret->status = CEREBRO_RECIPE_HEALTH_STATUS_PASSING;
    ret->message = instance.id;
    return true;
}
