// Asks the instance for a page; see ../../SPEC.md.
//
// Each call runs in an instance of its own, whose memory goes with it: nothing is freed. Only what
// an export returns is, by the bindings, so it must come from malloc.
#include "http_check.h"

#include "../options.h"

#include <stdlib.h>
#include <string.h>

typedef http_check_string_t text;

static text lit(const char *words)
{
    return (text){(uint8_t *)words, strlen(words)};
}

static text decimal(uint32_t number)
{
    uint8_t *digits = malloc(10), *at = digits + 10;
    do {
        *--at = '0' + number % 10;
        number /= 10;
    } while (number);
    return (text){at, digits + 10 - at};
}

static text concat(const text *parts, size_t count)
{
    text all = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        all.len += parts[i].len;
    }
    uint8_t *to = all.ptr = malloc(all.len + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(to, parts[i].ptr, parts[i].len);
        to += parts[i].len;
    }
    return all;
}

#define PARTS(...) ((text[]){__VA_ARGS__})
#define CONCAT(...) concat(PARTS(__VA_ARGS__), sizeof PARTS(__VA_ARGS__) / sizeof(text))

static bool get_number(text json, const char *option, uint32_t *number, text *err)
{
    if (option_number(json.ptr, json.len, option, number) != OPTION_WRONG) {
        return true;
    }
    *err = CONCAT(lit("the option "), lit(option), lit(" is not a whole number"));
    return false;
}

static bool get_port(const cerebro_recipe_context_instance_t *instance, uint16_t *number, text *err)
{
    for (size_t i = 0; i < instance->ports.len; i++) {
        text name = instance->ports.ptr[i].name;
        if (name.len == 4 && memcmp(name.ptr, "http", 4) == 0) {
            *number = instance->ports.ptr[i].number;
            return true;
        }
    }
    http_check_string_dup(err, "the job has no port http");
    return false;
}

bool exports_http_check_check(http_check_report_t *ret, text *err)
{
    text json, path = lit("/");
    uint32_t wanted = 200, timeout = 1000;
    cerebro_recipe_context_options(&json);
    if (option_text(json.ptr, json.len, "path", &path.ptr, &path.len) == OPTION_WRONG) {
        http_check_string_dup(err, "the option path is not a text");
        return false;
    }
    cerebro_recipe_context_instance_t instance;
    cerebro_recipe_context_get(&instance);
    uint16_t port;
    if (!get_number(json, "status", &wanted, err) || !get_number(json, "timeout", &timeout, err) ||
        !get_port(&instance, &port, err)) {
        return false;
    }

    cerebro_recipe_net_http_probe_t probe = {
        .host = instance.address,
        .port = port,
        .path = path,
        .timeout = timeout,
        .limit = 1024,
    };
    cerebro_recipe_net_http_answer_t answer;
    cerebro_recipe_net_error_t why;
    if (!cerebro_recipe_net_http(&probe, &answer, &why)) {
        // All errors have the host's words in the same place.
        text words = why.val.other;
        if (why.tag == CEREBRO_RECIPE_TYPES_ERROR_DENIED ||
            why.tag == CEREBRO_RECIPE_TYPES_ERROR_INVALID) {
            // The check itself is at fault, not the instance.
            *err = words;
            return false;
        }
        *ret = (http_check_report_t){
            .status = CEREBRO_RECIPE_HEALTH_STATUS_CRITICAL,
            .message = words,
        };
        return true;
    }

    cerebro_recipe_health_metric_t *metric = malloc(sizeof *metric);
    http_check_string_dup(&metric->name, "response_time");
    metric->value = answer.took / 1e6;
    http_check_string_dup(&metric->unit, "s");
    ret->metrics.ptr = metric;
    ret->metrics.len = 1;
    ret->message = CONCAT(path, lit(": "), decimal(answer.status));
    ret->status = CEREBRO_RECIPE_HEALTH_STATUS_PASSING;
    if (answer.status != wanted) {
        ret->message = CONCAT(ret->message, lit(", expected "), decimal(wanted));
        ret->status = CEREBRO_RECIPE_HEALTH_STATUS_CRITICAL;
    }
    return true;
}
