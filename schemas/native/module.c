/* schemas._plan: the type Plan, which decodes and encodes the records of one schema. */

#include "plan.h"

PyTypeObject *decimal_type, *uuid_type, *date_type, *datetime_type, *time_type;

static PyObject *
plan_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"nodes", "head", "fallback", NULL};
    PyObject *nodes, *head, *fallback;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!SO:Plan", names, &PyTuple_Type, &nodes, &head,
                                     &fallback)) {
        return NULL;
    }
    Plan *plan = (Plan *)type->tp_alloc(type, 0);
    if (plan == NULL) {
        return NULL;
    }
    plan->head = Py_NewRef(head);
    plan->fallback = Py_NewRef(fallback);
    if (plan_compile(plan, nodes) < 0) {
        Py_DECREF(plan);
        return NULL;
    }
    return (PyObject *)plan;
}

static int
plan_tp_clear(Plan *plan)
{
    plan_clear(plan);
    return 0;
}

static void
plan_dealloc(Plan *plan)
{
    PyObject_GC_UnTrack(plan);
    plan_clear(plan);
    Py_CLEAR(plan->head);
    Py_TYPE(plan)->tp_free(plan);
}

/* Let the pure codec answer. What is no Exception, such as an interrupt, goes up as it is. */
static PyObject *
decline(Plan *plan, PyObject *argument)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            return NULL;
        }
        PyErr_Clear();
    }
    if (plan->fallback == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the plan was taken apart");
        return NULL;
    }
    plan->declined++;
    return PyObject_CallOneArg(plan->fallback, argument);
}

PyDoc_STRVAR(decode_doc, "decode($self, payload, /)\n--\n\n"
             "Return the record in a payload whose head was read, or what the fallback makes of it.");

static PyObject *
plan_decode(Plan *plan, PyObject *payload)
{
    if (!PyBytes_CheckExact(payload) || PyBytes_GET_SIZE(payload) < HEAD_BYTES || plan->nodes == NULL) {
        return decline(plan, payload);
    }
    const uint8_t *start = (const uint8_t *)PyBytes_AS_STRING(payload);
    Input in = {start + HEAD_BYTES, start + PyBytes_GET_SIZE(payload)};
    PyObject *record = read_value(&plan->nodes[plan->count - 1], &in);
    if (record != NULL && in.at == in.end) {
        return record;
    }
    Py_XDECREF(record);
    return decline(plan, payload);
}

PyDoc_STRVAR(encode_doc, "encode($self, record, /)\n--\n\n"
             "Return the bytes of a record with their head, or what the fallback makes of it.");

static PyObject *
plan_encode(Plan *plan, PyObject *record)
{
    Output out;
    out.start = out.at = out.first;
    out.end = out.first + sizeof out.first;
    out.heap = NULL;
    PyObject *payload = NULL;
    if (plan->nodes != NULL && write_raw(&out, PyBytes_AS_STRING(plan->head), PyBytes_GET_SIZE(plan->head)) == 0
        && write_value(&plan->nodes[plan->count - 1], record, &out) == 0) {
        payload = PyBytes_FromStringAndSize((char *)out.start, out.at - out.start);
    }
    PyMem_Free(out.heap);
    return payload != NULL ? payload : decline(plan, record);
}

static PyMethodDef plan_methods[] = {
    {"decode", (PyCFunction)plan_decode, METH_O, decode_doc},
    {"encode", (PyCFunction)plan_encode, METH_O, encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef plan_members[] = {
    {"declined", T_PYSSIZET, offsetof(Plan, declined), READONLY, "How often the fallback was asked."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject plan_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "schemas._plan.Plan",
    .tp_doc = "Plan(nodes, head, fallback)\n--\n\nThe compiled codec of one schema; see schemas/plan.py for its nodes.",
    .tp_basicsize = sizeof(Plan),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = plan_new,
    .tp_dealloc = (destructor)plan_dealloc,
    .tp_traverse = (traverseproc)plan_traverse,
    .tp_clear = (inquiry)plan_tp_clear,
    .tp_methods = plan_methods,
    .tp_members = plan_members,
};

static PyTypeObject *
class_from(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    if (found != NULL && !PyType_Check(found)) {
        PyErr_Format(PyExc_TypeError, "%s.%s is no class", module_name, name);
        Py_CLEAR(found);
    }
    return (PyTypeObject *)found;
}

static struct PyModuleDef plan_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "schemas._plan",
    .m_doc = "The compiled Avro codec.",
    .m_size = -1,
};

PyMODINIT_FUNC
PyInit__plan(void)
{
    if (moments_load() < 0 || (decimal_type = class_from("decimal", "Decimal")) == NULL
        || (uuid_type = class_from("uuid", "UUID")) == NULL) {
        return NULL;
    }
    PyObject *module = PyModule_Create(&plan_module);
    if (module == NULL || PyModule_AddType(module, &plan_type) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
