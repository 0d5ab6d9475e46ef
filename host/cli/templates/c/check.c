// The health check {{ name }}.
//
// Each call runs in an instance of its own, whose memory goes with it: nothing needs to be freed.
// Only what an export returns is, by the bindings, so it must come from malloc.
#include "health_check.h"

#include <stdlib.h>
#include <string.h>

bool exports_health_check_check(health_check_report_t *ret, health_check_string_t *err)
{
    cerebro_recipe_context_instance_t instance;
    cerebro_recipe_context_get(&instance);
    if (instance.ports.len == 0) {
        health_check_string_dup(err, "the job has no port");
        return false;
    }
    cerebro_recipe_net_http_probe_t probe = {
        .host = instance.address,
        .port = instance.ports.ptr[0].number,
        .path = {(uint8_t *)"/", 1},
        .timeout = 1000,
        .limit = 1024,
    };
    cerebro_recipe_net_http_answer_t answer;
    cerebro_recipe_net_error_t why;
    memset(ret, 0, sizeof *ret);
    if (!cerebro_recipe_net_http(&probe, &answer, &why)) {
        ret->status = CEREBRO_RECIPE_HEALTH_STATUS_CRITICAL;
        // All errors of the host have their text in the same place.
        ret->message = why.val.other;
        return true;
    }
    bool is_good = answer.status >= 200 && answer.status < 400;
    ret->status = is_good ? CEREBRO_RECIPE_HEALTH_STATUS_PASSING
                          : CEREBRO_RECIPE_HEALTH_STATUS_CRITICAL;
    health_check_string_dup(&ret->message, is_good ? "the status is good" : "the status is bad");
    ret->metrics.ptr = malloc(sizeof *ret->metrics.ptr);
    ret->metrics.len = 1;
    health_check_string_dup(&ret->metrics.ptr->name, "response_time");
    health_check_string_dup(&ret->metrics.ptr->unit, "s");
    ret->metrics.ptr->value = answer.took / 1e6;
    return true;
}
