/* Passing over values that nobody wants: as strict as decoding them, without making them. */

#include "plan.h"

static int
skip_dropped(const Node *node, Input *in)
{
    PyObject *value = read_value(node, in);
    Py_XDECREF(value);
    return value == NULL ? -1 : 0;
}

static int
skip_text(const Node *node, Input *in)
{
    Input again = *in;
    Py_ssize_t size;
    if (read_size(in, &size) < 0) {
        return -1;
    }
    if (node->object != NULL && size == PyBytes_GET_SIZE(node->object)) {
        *in = again;
        return skip_dropped(node, in);
    }
    uint8_t seen = 0;
    for (Py_ssize_t place = 0; place < size; place++) {
        seen |= in->at[place];
    }
    if (seen > 0x7f) {
        *in = again; /* only the decoder knows whether this is UTF-8 */
        return skip_dropped(node, in);
    }
    in->at += size;
    return 0;
}

static int
skip_record(const Node *node, Input *in)
{
    if (node->checked) {
        return skip_dropped(node, in);
    }
    for (int32_t number = 0; number < node->count; number++) {
        if (skip_value(node->fields[number].node, in) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
skip_union(const Node *node, Input *in)
{
    int64_t number;
    if (read_long(in, &number) < 0 || number < 0 || number >= node->count) {
        return -1;
    }
    return skip_value(node->branches[number], in);
}

int
skip_value(const Node *node, Input *in)
{
    int64_t number;
    switch ((Kind)node->kind) {
    case AVRO_NULL:
        return 0;
    case AVRO_BOOLEAN:
        return in->at == in->end ? -1 : (in->at++, 0);
    case AVRO_INT:
    case AVRO_LONG:
        return read_long(in, &number);
    case AVRO_STRING:
        return skip_text(node, in);
    case AVRO_UNION:
        return skip_union(node, in);
    case AVRO_RECORD:
        return skip_record(node, in);
    case DATE:
    case INSTANT_MILLIS:
    case INSTANT_MICROS:
        return read_long(in, &number) < 0 || !moment_fits(node, number) ? -1 : 0;
    default:
        return skip_dropped(node, in);
    }
}
