#include "lambda/metrics.h"

#include <jansson.h>

#include "dump_private.h"

/* A name is cut to so many bytes; CloudWatch takes 1,024 (API, Dimension). */
#define DIMENSION_MAX ((size_t)255)

/* {"Timestamp": …, "CloudWatchMetrics": […]}: what the other members mean. */
static json_t *make_directive(const struct metrics *m)
{
    return json_pack(
        "{s:I, s:[{s:s, s:[[s]], s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s},"
        " {s:s, s:s}, {s:s, s:s}]}]}",
        "Timestamp", (json_int_t)m->real_ms, "CloudWatchMetrics", "Namespace",
        METRICS_NAMESPACE, "Dimensions", "FunctionName", "Metrics", "Name",
        "Duration", "Unit", "Milliseconds", "Name", "RegionsFailed", "Unit",
        "Count", "Name", "Retries", "Unit", "Count", "Name", "Throttles",
        "Unit", "Count", "Name", "Instances", "Unit", "Count");
}

/* A name from outside, fit for a dimension; NULL when out of memory. */
static json_t *make_name(struct span name, const char *otherwise)
{
    char text[DIMENSION_MAX + 1];
    size_t len = name.len < DIMENSION_MAX ? name.len : DIMENSION_MAX;

    if (!len)
        return json_string(otherwise);
    for (size_t i = 0; i < len; i++)
        text[i] = name.p[i] > 0x20 && name.p[i] < 0x7F ? name.p[i] : '?';
    return json_stringn(text, len);
}

static json_t *make_line(const struct metrics *m)
{
    json_t *line = json_pack(
        "{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:i, s:I}", "_aws",
        make_directive(m), "FunctionName",
        make_name(m->function_name, METRICS_NAMESPACE), "Duration",
        (json_int_t)m->duration_ms, "RegionsFailed",
        (json_int_t)m->regions_failed, "Retries", (json_int_t)m->retries,
        "Throttles", (json_int_t)m->throttles, "Instances",
        (json_int_t)m->instances, "question", m->question, "status",
        m->http_status, "regionsAsked", (json_int_t)m->regions_asked);

    if (line && m->request_id.len &&
        json_object_set_new(line, "requestId", make_name(m->request_id, ""))) {
        json_decref(line);
        line = NULL;
    }
    return line;
}

enum err_code metrics_write(const struct metrics *m, struct buf *out,
                            struct err *err)
{
    json_t *line = make_line(m);
    enum err_code rc;

    buf_reset(out);
    rc = dump_append(out, line, err);
    json_decref(line);
    return rc ? rc : buf_check(out, "metrics", err);
}
