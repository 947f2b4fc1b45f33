/* What follows from the nodes within a node: how short its values can be, how deep it is, which branch is null. */

#include "plan.h"

static int64_t
width_of(const Node *node)
{
    int64_t width = 1;
    switch ((Kind)node->kind) {
    case AVRO_NULL:
        return 0;
    case AVRO_FLOAT:
        return 4;
    case AVRO_DOUBLE:
        return 8;
    case AVRO_FIXED:
    case DECIMAL_FIXED:
        return node->size;
    case NOT_AMONG:
    case CALLED:
        return node->inner->width_min;
    case AVRO_UNION:
        for (int32_t number = 0; number < node->count; number++) {
            int64_t branch = 1 + node->branches[number]->width_min;
            width = number == 0 || branch < width ? branch : width;
        }
        return width;
    case AVRO_RECORD:
        width = 0;
        for (int32_t number = 0; number < node->count; number++) {
            width += node->fields[number].node->width_min;
        }
        return width;
    default:
        return 1;
    }
}

static int
deepen(Node *node, const Node *inner)
{
    node->depth = inner->depth >= node->depth ? inner->depth + 1 : node->depth;
    return node->depth;
}

/* Fill in what follows from the nodes within a node, which are complete. */
int
plan_complete(Node *node)
{
    int64_t width = width_of(node);
    node->width_min = (int32_t)(width > INT32_MAX ? INT32_MAX : width);
    for (int32_t number = 0; node->branches != NULL && number < node->count; number++) {
        const Node *branch = node->branches[number];
        deepen(node, branch);
        node->of_dicts += branch->kind == AVRO_MAP || branch->kind == AVRO_RECORD;
        if (branch->kind != AVRO_NULL) {
            node->only = number;
        } else if (node->null_at < 0) {
            node->null_at = number;
        }
    }
    if (node->kind == AVRO_UNION && node->count - (node->null_at >= 0) != 1) {
        node->only = -1;
    }
    for (int32_t number = 0; node->fields != NULL && number < node->count; number++) {
        const Field *field = &node->fields[number];
        deepen(node, field->node);
        if (field->mode == TYPE_NAME
            && (field->node->kind != AVRO_UNION || field->node->only < 0 || field->node->null_at < 0
                || field->node->branches[field->node->only]->kind != AVRO_STRING)) {
            PyErr_Format(PyExc_ValueError, "field %U names a type, so it is null or a string", field->name);
            return -1;
        }
    }
    if (node->inner != NULL) {
        deepen(node, node->inner);
    }
    if (node->kind == AVRO_ARRAY && node->inner->width_min < 1) {
        PyErr_SetString(PyExc_ValueError, "nothing bounds the number of items that take no bytes");
        return -1;
    }
    if (node->depth > DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "nested deeper than %d", DEPTH_MAX);
        return -1;
    }
    return 0;
}
