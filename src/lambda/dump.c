#include "dump_private.h"

static int add_chunk(const char *data, size_t len, void *out)
{
    struct buf *buf = out;

    buf_add(buf, data, len);
    return buf->failed ? -1 : 0;
}

enum err_code dump_append(struct buf *out, const json_t *value, struct err *err)
{
    int rc = -1;

    if (value)
        rc = json_dump_callback(value, add_chunk, out,
                                JSON_COMPACT | JSON_ENCODE_ANY);
    return rc && !out->failed ? err_nomem(err, "json") : ERR_OK;
}
