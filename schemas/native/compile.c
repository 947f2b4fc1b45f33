/* From the nodes that schemas/plan.py describes to a plan.
 *
 * A node is a tuple: its kind, then what the kind needs. Nodes refer to others by their place in the list, always to
 * earlier ones, so that a walk ends; the last is the root.
 */

#include "plan.h"

static const char *const kind_names[KINDS] = {
    [AVRO_NULL] = "null",
    [AVRO_BOOLEAN] = "boolean",
    [AVRO_INT] = "int",
    [AVRO_LONG] = "long",
    [AVRO_FLOAT] = "float",
    [AVRO_DOUBLE] = "double",
    [AVRO_STRING] = "string",
    [AVRO_BYTES] = "bytes",
    [AVRO_FIXED] = "fixed",
    [AVRO_ENUM] = "enum",
    [AVRO_ARRAY] = "array",
    [AVRO_MAP] = "map",
    [AVRO_UNION] = "union",
    [AVRO_RECORD] = "record",
    [DECIMAL_BYTES] = "decimal",
    [DECIMAL_FIXED] = "fixed-decimal",
    [DECIMAL_TEXT] = "decimal-text",
    [DATE] = "date",
    [TIME_MILLIS] = "time-millis",
    [TIME_MICROS] = "time-micros",
    [INSTANT_MILLIS] = "timestamp-millis",
    [INSTANT_MICROS] = "timestamp-micros",
    [INSTANT_NANOS] = "timestamp-nanos",
    [LOCAL_MILLIS] = "local-timestamp-millis",
    [LOCAL_MICROS] = "local-timestamp-micros",
    [ZONED_TEXT] = "zoned-text",
    [UUID_TEXT] = "uuid",
    [NOT_AMONG] = "not-among",
    [CALLED] = "called",
};

static const char *const mode_names[MODES] = {
    [KEPT] = "kept", [LEFT_OUT] = "left-out", [CONDITIONAL] = "conditional", [NEEDED] = "needed",
    [TYPE_NAME] = "type-name",
};

static int
place_among(PyObject *name, const char *const *names, int count, const char *what)
{
    for (int place = 0; PyUnicode_Check(name) && place < count; place++) {
        if (PyUnicode_CompareWithASCIIString(name, names[place]) == 0) {
            return place;
        }
    }
    PyErr_Format(PyExc_ValueError, "%R is no %s", name, what);
    return -1;
}

static const Node *
node_at(Plan *plan, const Node *from, int place)
{
    if (place < 0 || place >= from - plan->nodes) {
        PyErr_Format(PyExc_ValueError, "node %zd refers to node %d: not to an earlier one", from - plan->nodes, place);
        return NULL;
    }
    return &plan->nodes[place];
}

static PyObject *
numbered(PyObject *names)
{
    PyObject *index = PyDict_New();
    for (Py_ssize_t place = 0; index != NULL && place < PyTuple_GET_SIZE(names); place++) {
        PyObject *number = PyLong_FromSsize_t(place);
        /* The first of two equal names counts, as it does in a search. */
        if (number == NULL || PyDict_SetDefault(index, PyTuple_GET_ITEM(names, place), number) == NULL) {
            Py_CLEAR(index);
        }
        Py_XDECREF(number);
    }
    return index;
}

static int
compile_enum(Node *node, PyObject *told)
{
    PyObject *kind, *symbols;
    if (!PyArg_ParseTuple(told, "OO!:enum", &kind, &PyTuple_Type, &symbols)) {
        return -1;
    }
    node->object = Py_NewRef(symbols);
    node->count = (int32_t)PyTuple_GET_SIZE(node->object);
    node->index = numbered(node->object);
    return node->index == NULL ? -1 : 0;
}

static int
compile_decimal(Node *node, PyObject *told)
{
    PyObject *kind, *make;
    int half_up = 0;
    if (!PyArg_ParseTuple(told, "OOii|pi:decimal", &kind, &make, &node->precision, &node->scale, &half_up,
                          &node->size)) {
        return -1;
    }
    if (node->precision < 1 || node->scale < 0 || node->size < 0) {
        PyErr_SetString(PyExc_ValueError, "a decimal with negative scale, or no precision");
        return -1;
    }
    node->half_up = (uint8_t)half_up;
    node->object = Py_NewRef(make);
    return 0;
}

/* Compile a node that wraps another: (kind, place[, as_tuple]) or (kind, place, object). */
static int
compile_outer(Plan *plan, Node *node, PyObject *told)
{
    PyObject *kind, *more;
    int place;
    if (!PyArg_ParseTuple(told, "OiO", &kind, &place, &more) || (node->inner = node_at(plan, node, place)) == NULL) {
        return -1;
    }
    if (node->kind == CALLED || node->kind == NOT_AMONG) {
        node->object = Py_NewRef(more);
        return 0;
    }
    node->as_tuple = (uint8_t)(more == Py_True);
    return 0;
}

static int
compile_union(Plan *plan, Node *node, PyObject *told)
{
    PyObject *kind, *places, *names, *as_tuple;
    if (!PyArg_ParseTuple(told, "OO!O!O:union", &kind, &PyTuple_Type, &places, &PyTuple_Type, &names, &as_tuple)) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(places);
    node->as_tuple = (uint8_t)(as_tuple == Py_True);
    node->branches = PyMem_Calloc((size_t)count + 1, sizeof *node->branches);
    if (node->branches == NULL || (node->index = numbered(names)) == NULL) {
        return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
    }
    for (; node->count < count; node->count++) {
        long place = PyLong_AsLong(PyTuple_GET_ITEM(places, node->count));
        const Node *branch = node_at(plan, node, (int)place);
        if (branch == NULL) {
            return -1;
        }
        node->branches[node->count] = branch;
    }
    return 0;
}

static int
compile_field(Plan *plan, Node *node, Field *field, PyObject *told)
{
    PyObject *name, *mode, *absent;
    int place;
    if (!PyTuple_Check(told)
        || !PyArg_ParseTuple(told, "UiUiO:field", &name, &place, &mode, &field->place, &absent)) {
        return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_TypeError, "a field is a tuple"), -1);
    }
    int number = place_among(mode, mode_names, MODES, "mode of a field");
    field->node = number < 0 ? NULL : node_at(plan, node, place);
    if (field->node == NULL) {
        return -1;
    }
    int in_tuple = number == KEPT || number == TYPE_NAME;
    if (node->as_tuple && ((in_tuple && (field->place < 0 || field->place >= node->size))
                           || number == CONDITIONAL || number == NEEDED)) {
        PyErr_Format(PyExc_ValueError, "field %U has no place in its tuple", name);
        return -1;
    }
    field->mode = (uint8_t)number;
    field->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&field->name);
    field->absent = PyBytes_Check(absent) ? Py_NewRef(absent) : NULL;
    node->checked |= number >= NEEDED;
    return 0;
}

static int
check_class(Node *node)
{
    PyTypeObject *type = (PyTypeObject *)node->object;
    if (!PyType_Check(node->object) || !PyType_IsSubtype(type, &PyTuple_Type) || type->tp_itemsize == 0
        || type->tp_basicsize != PyTuple_Type.tp_basicsize || type->tp_dictoffset != 0) {
        PyErr_Format(PyExc_TypeError, "%R is no class of plain tuples", node->object);
        return -1;
    }
    return 0;
}

/* (record, fields, None, class, size) or (record, fields, constant fields, (field, value) of its condition, -1) */
static int
compile_record(Plan *plan, Node *node, PyObject *told)
{
    PyObject *kind, *fields, *constant, *more;
    int conditional = 0, kept = 0;
    uint64_t filled = 0;
    if (!PyArg_ParseTuple(told, "OO!OOi:record", &kind, &PyTuple_Type, &fields, &constant, &more, &node->size)) {
        return -1;
    }
    if (PyDict_CheckExact(constant) && PyDict_GET_SIZE(constant) > 0) {
        node->constant = Py_NewRef(constant);
    }
    node->as_tuple = node->size >= 0;
    if (node->as_tuple) {
        node->object = Py_NewRef(more);
        if (check_class(node) < 0) {
            return -1;
        }
    } else if (more != Py_None) {
        if (!PyTuple_Check(more) || !PyArg_ParseTuple(more, "UU", &node->condition_field, &node->condition_value)) {
            node->condition_field = node->condition_value = NULL;
            return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_TypeError, "a condition is a tuple"), -1);
        }
        Py_INCREF(node->condition_field);
        Py_INCREF(node->condition_value);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(fields);
    node->fields = PyMem_Calloc((size_t)count + 1, sizeof *node->fields);
    if (node->fields == NULL) {
        return PyErr_NoMemory(), -1;
    }
    for (; node->count < count; node->count++) {
        Field *field = &node->fields[node->count];
        if (compile_field(plan, node, field, PyTuple_GET_ITEM(fields, node->count)) < 0) {
            return -1;
        }
        conditional += field->mode == CONDITIONAL;
        kept += field->mode == KEPT;
        filled |= node->as_tuple && field->mode == KEPT && field->place < 64 ? (uint64_t)1 << field->place : 0;
    }
    if (conditional > CONDITIONAL_MAX || (conditional && node->condition_field == NULL)) {
        PyErr_SetString(PyExc_ValueError, "too many conditional fields, or no condition");
        return -1;
    }
    if (node->as_tuple && (node->size > 63 || kept != node->size || filled != ((uint64_t)1 << node->size) - 1)) {
        PyErr_Format(PyExc_ValueError, "the fields do not fill %R", node->object);
        return -1;
    }
    return 0;
}

static int
compile_node(Plan *plan, Node *node, PyObject *told)
{
    if (!PyTuple_Check(told) || PyTuple_GET_SIZE(told) == 0) {
        PyErr_SetString(PyExc_TypeError, "a node is a tuple that begins with its kind");
        return -1;
    }
    int kind = place_among(PyTuple_GET_ITEM(told, 0), kind_names, KINDS, "kind of node");
    if (kind < 0) {
        return -1;
    }
    node->kind = (uint8_t)kind;
    node->null_at = node->only = -1;
    PyObject *name, *object = NULL;
    switch ((Kind)kind) {
    case AVRO_ENUM:
        return compile_enum(node, told);
    case AVRO_FIXED:
        if (PyArg_ParseTuple(told, "Oi:fixed", &name, &node->size) && node->size < 0) {
            PyErr_SetString(PyExc_ValueError, "a fixed of less than no bytes");
        }
        return PyErr_Occurred() ? -1 : 0;
    case DECIMAL_BYTES:
    case DECIMAL_FIXED:
        return compile_decimal(node, told);
    case AVRO_ARRAY:
    case AVRO_MAP:
    case NOT_AMONG:
    case CALLED:
        return compile_outer(plan, node, told);
    case AVRO_UNION:
        return compile_union(plan, node, told);
    case AVRO_RECORD:
        return compile_record(plan, node, told);
    case AVRO_STRING:
    case AVRO_BYTES:
        if (!PyArg_ParseTuple(told, "O|S", &name, &object)) {
            return -1;
        }
        break;
    default:
        if (!PyArg_ParseTuple(told, "O|O", &name, &object)) {
            return -1;
        }
    }
    node->object = Py_XNewRef(object);
    return 0;
}

int
plan_compile(Plan *plan, PyObject *nodes)
{
    Py_ssize_t count = PyTuple_GET_SIZE(nodes);
    if (count < 1 || count > NODES_MAX) {
        PyErr_Format(PyExc_ValueError, "a plan has 1 to %d nodes, not %zd", NODES_MAX, count);
        return -1;
    }
    plan->nodes = PyMem_Calloc((size_t)count, sizeof *plan->nodes);
    if (plan->nodes == NULL) {
        return PyErr_NoMemory(), -1;
    }
    plan->count = count;
    for (Py_ssize_t place = 0; place < count; place++) {
        Node *node = &plan->nodes[place];
        if (compile_node(plan, node, PyTuple_GET_ITEM(nodes, place)) < 0 || plan_complete(node) < 0) {
            return -1;
        }
    }
    return 0;
}

int
plan_traverse(Plan *plan, visitproc visit, void *arg)
{
    Py_VISIT(plan->fallback);
    for (Py_ssize_t place = 0; plan->nodes != NULL && place < plan->count; place++) {
        Py_VISIT(plan->nodes[place].object);
        Py_VISIT(plan->nodes[place].index);
        Py_VISIT(plan->nodes[place].constant);
    }
    return 0;
}

void
plan_clear(Plan *plan)
{
    Node *nodes = plan->nodes;
    Py_ssize_t count = plan->count;
    plan->nodes = NULL;
    plan->count = 0;
    Py_CLEAR(plan->fallback);
    for (Py_ssize_t place = 0; nodes != NULL && place < count; place++) {
        Node *node = &nodes[place];
        for (int32_t number = 0; node->fields != NULL && number <= node->count; number++) {
            Py_XDECREF(node->fields[number].name);
            Py_XDECREF(node->fields[number].absent);
        }
        PyMem_Free(node->fields);
        PyMem_Free(node->branches);
        Py_XDECREF(node->object);
        Py_XDECREF(node->index);
        Py_XDECREF(node->constant);
        Py_XDECREF(node->condition_field);
        Py_XDECREF(node->condition_value);
    }
    PyMem_Free(nodes);
}
