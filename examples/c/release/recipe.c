// Keeps releases side by side; see ../../SPEC.md.
//
// Each call runs in an instance of its own, whose memory goes with it: nothing is freed. Only what
// an export returns is, by the bindings, so it must come from malloc.
#include "release.h"

#include "../options.h"

#include <stdlib.h>
#include <string.h>

typedef release_string_t text;
typedef cerebro_recipe_types_change_t change;
typedef cerebro_recipe_types_error_t error;

struct options {
    text base;
    text artifact;
    text greeting;
    uint32_t keep;
};

static text lit(const char *words)
{
    return (text){(uint8_t *)words, strlen(words)};
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

static bool is(text a, const char *b)
{
    return a.len == strlen(b) && memcmp(a.ptr, b, a.len) == 0;
}

static text replace(text in, const char *what, text with)
{
    size_t size = strlen(what), count = 0;
    for (size_t i = 0; i + size <= in.len; i++) {
        count += memcmp(in.ptr + i, what, size) == 0;
    }
    text out = {malloc(in.len + count * with.len + 1), 0};
    for (size_t i = 0; i < in.len;) {
        if (i + size <= in.len && memcmp(in.ptr + i, what, size) == 0) {
            memcpy(out.ptr + out.len, with.ptr, with.len);
            out.len += with.len;
            i += size;
        } else {
            out.ptr[out.len++] = in.ptr[i++];
        }
    }
    return out;
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

static void say(text message)
{
    cerebro_recipe_log_write(CEREBRO_RECIPE_LOG_LEVEL_INFO, &message);
}

static text name(const change *change)
{
    static const char *const names[] = {"unchanged", "created", "updated", "removed", "done"};
    bool is_other = change->tag == CEREBRO_RECIPE_TYPES_CHANGE_OTHER;
    return is_other ? change->val.other : lit(names[change->tag]);
}

static void say_change(text what, const change *change)
{
    say(CONCAT(what, lit(": "), name(change)));
}

// Puts what was being done before the host's words, which all errors have in the same place.
static bool failed(text what, const error *why, text *err)
{
    *err = CONCAT(what, lit(": "), why->val.other);
    return false;
}

static bool wrong(const char *option, const char *how, text *err)
{
    *err = CONCAT(lit("the option "), lit(option), lit(how));
    return false;
}

static bool get_text(text json, const char *option, const char *standard, text *value, text *err)
{
    switch (option_text(json.ptr, json.len, option, &value->ptr, &value->len)) {
    case OPTION_GOOD:
        return true;
    case OPTION_WRONG:
        return wrong(option, " is not a text", err);
    case OPTION_MISSING:
        break;
    }
    if (!standard) {
        return wrong(option, " is missing", err);
    }
    *value = lit(standard);
    return true;
}

static bool get_options(struct options *options, text *err)
{
    text json;
    cerebro_recipe_context_options(&json);
    options->keep = 2;
    if (!get_text(json, "base", NULL, &options->base, err) ||
        !get_text(json, "artifact", NULL, &options->artifact, err) ||
        !get_text(json, "greeting", "hello", &options->greeting, err)) {
        return false;
    }
    if (option_number(json.ptr, json.len, "keep", &options->keep) == OPTION_WRONG) {
        return wrong("keep", " is not a whole number", err);
    }
    return true;
}

static bool get_port(const cerebro_recipe_context_instance_t *instance, uint16_t *number, text *err)
{
    for (size_t i = 0; i < instance->ports.len; i++) {
        if (is(instance->ports.ptr[i].name, "http")) {
            *number = instance->ports.ptr[i].number;
            return true;
        }
    }
    release_string_dup(err, "the job has no port http");
    return false;
}

static bool stage(const struct options *options, text version, text *err)
{
    error why;
    change change;
    text sha256 = options->artifact, what = CONCAT(lit("stage "), version);
    cerebro_recipe_artifact_own_artifact_t artifact;
    if (!cerebro_recipe_artifact_fetch(&sha256, &artifact, &why)) {
        return failed(lit("fetch the artifact"), &why, err);
    }
    cerebro_recipe_release_shared_t shared = {lit("log"), true};
    cerebro_recipe_release_layout_t layout = {.base = options->base, .shared = {&shared, 1}};
    cerebro_recipe_release_borrow_artifact_t content =
        cerebro_recipe_artifact_borrow_artifact(artifact);
    if (!cerebro_recipe_release_stage(&layout, &version, &content, 1, &change, &why)) {
        return failed(what, &why, err);
    }
    say_change(what, &change);
    return true;
}

static bool configure(const struct options *options,
                      const cerebro_recipe_context_instance_t *instance, uint16_t port, text *err)
{
    error why;
    change change;
    text base = options->base, version = instance->version, directory;
    if (!cerebro_recipe_release_path(&base, &version, &directory, &why)) {
        return failed(lit("read app.conf.tmpl"), &why, err);
    }
    text from = CONCAT(directory, lit("/app.conf.tmpl")), to = CONCAT(directory, lit("/app.conf"));
    release_list_u8_t template;
    if (!cerebro_recipe_files_read(&from, 65536, &template, &why)) {
        return failed(lit("read app.conf.tmpl"), &why, err);
    }
    text conf = {template.ptr, template.len};
    conf = replace(conf, "{{version}}", version);
    conf = replace(conf, "{{address}}", instance->address);
    conf = replace(conf, "{{port}}", decimal(port));
    conf = replace(conf, "{{greeting}}", options->greeting);
    release_list_u8_t content = {conf.ptr, conf.len};
    cerebro_recipe_files_attributes_t attributes = {.mode = {.is_some = true, .val = 0640}};
    if (!cerebro_recipe_files_write(&to, &content, &attributes, &change, &why)) {
        return failed(lit("write app.conf"), &why, err);
    }
    say_change(lit("write app.conf"), &change);
    return true;
}

// Runs a command that must succeed. Nothing else is asked of its outcome, so that a plan goes on
// behind it.
static bool run_to_success(cerebro_recipe_command_spec_t *spec, change *change, error *why)
{
    cerebro_recipe_command_own_outcome_t outcome;
    return cerebro_recipe_command_run(spec, &outcome, why) &&
           cerebro_recipe_command_method_outcome_ensure_success(
               cerebro_recipe_command_borrow_outcome(outcome), change, why);
}

static bool initialise(text base, text root, text *err)
{
    error why;
    change change;
    text mark = CONCAT(base, lit("/shared/initialised")), what = lit("touch initialised");
    text real = CONCAT(root, mark);
    text argv[] = {lit("/usr/bin/touch"), real};
    text undo[] = {lit("/usr/bin/rm"), lit("-f"), real};
    cerebro_recipe_command_guard_t guard = {
        .tag = CEREBRO_RECIPE_COMMAND_GUARD_CREATES,
        .val.creates = mark,
    };
    cerebro_recipe_command_spec_t spec = {
        .argv = {argv, 2},
        .guards = {&guard, 1},
        .semantics = {.is_some = true, .val.undo = {.is_some = true, .val = {undo, 3}}},
    };
    if (!run_to_success(&spec, &change, &why)) {
        return failed(what, &why, err);
    }
    say_change(what, &change);
    return true;
}

bool exports_release_deploy(text *err)
{
    struct options options;
    cerebro_recipe_context_instance_t instance;
    uint16_t port;
    cerebro_recipe_context_get(&instance);
    if (!get_options(&options, err) || !get_port(&instance, &port, err)) {
        return false;
    }
    text base = options.base, version = instance.version;
    say(CONCAT(lit("deploy "), instance.job, lit(" "), version, lit(" to "), base));
    if (!stage(&options, version, err) || !configure(&options, &instance, port, err) ||
        !initialise(base, instance.root, err)) {
        return false;
    }

    error why;
    change change;
    text what = CONCAT(lit("activate "), version);
    if (!cerebro_recipe_release_activate(&base, &version, &change, &why)) {
        return failed(what, &why, err);
    }
    say_change(what, &change);

    release_list_string_t old;
    if (!cerebro_recipe_release_prune(&base, options.keep, &old, &why)) {
        return failed(lit("prune"), &why, err);
    }
    for (size_t i = 0; i < old.len; i++) {
        say(CONCAT(lit("prune "), old.ptr[i]));
    }
    return true;
}

bool exports_release_undeploy(text *err)
{
    struct options options;
    cerebro_recipe_context_instance_t instance;
    if (!get_options(&options, err)) {
        return false;
    }
    cerebro_recipe_context_get(&instance);
    text base = options.base;
    say(CONCAT(lit("undeploy "), instance.job, lit(" from "), base));

    error why;
    change change;
    text mark = CONCAT(base, lit("/shared/initialised"));
    if (!cerebro_recipe_files_remove(&mark, &change, &why)) {
        return failed(lit("remove initialised"), &why, err);
    }
    say_change(lit("remove initialised"), &change);

    text what = CONCAT(lit("leave "), base);
    if (!cerebro_recipe_release_leave(&base, &change, &why)) {
        return failed(what, &why, err);
    }
    say_change(what, &change);
    return true;
}
