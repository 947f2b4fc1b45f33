/* Named tuples at the cost of a tuple: calling a NamedTuple class without the Python function that its __new__ is.
 *
 * quicken(cls) gives a class a vectorcall and a _replace of its own. They put positional arguments, keywords and
 * defaults in their places; whatever does not fit is left to the ordinary functions, which know what to say.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define CLASSES_MAX 512 /* a power of two, twice what there will be */

typedef struct {
    PyTypeObject *type;   /* kept alive, as are the three below */
    PyObject *names;      /* tuple of str, interned */
    PyObject *defaults;   /* tuple, of the last fields */
    PyObject *replace;    /* the function that _replace was */
} Shape;

static Shape shapes[CLASSES_MAX];
static Py_ssize_t known;

static Shape *
place_of(PyTypeObject *type)
{
    size_t at = ((size_t)type >> 4) & (CLASSES_MAX - 1);
    while (shapes[at].type != NULL && shapes[at].type != type) {
        at = (at + 1) & (CLASSES_MAX - 1);
    }
    return &shapes[at];
}

static PyObject *
as_ever(PyObject *type, PyObject *const *args, Py_ssize_t given, PyObject *keywords)
{
    PyObject *made = NULL, *positional = PyTuple_New(given), *named = NULL;
    if (positional == NULL) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < given; at++) {
        PyTuple_SET_ITEM(positional, at, Py_NewRef(args[at]));
    }
    if (keywords != NULL) {
        named = PyDict_New();
        if (named == NULL) {
            goto done;
        }
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(keywords); at++) {
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(keywords, at), args[given + at]) < 0) {
                goto done;
            }
        }
    }
    made = PyType_Type.tp_call(type, positional, named);
done:
    Py_XDECREF(named);
    Py_DECREF(positional);
    return made;
}

/* Return the place of a keyword among the names from a place on, or -1. Keywords come interned, as names are. */
static Py_ssize_t
place_named(PyObject *names, Py_ssize_t from, PyObject *keyword)
{
    for (Py_ssize_t at = from; at < PyTuple_GET_SIZE(names); at++) {
        if (PyTuple_GET_ITEM(names, at) == keyword) {
            return at;
        }
    }
    return -1;
}

static PyObject *
construct(PyObject *type, PyObject *const *args, size_t flagged, PyObject *keywords)
{
    const Shape *shape = place_of((PyTypeObject *)type);
    Py_ssize_t given = PyVectorcall_NARGS(flagged), count = PyTuple_GET_SIZE(shape->names);
    if (given > count) {
        return as_ever(type, args, given, keywords);
    }
    PyObject *made = shape->type->tp_alloc(shape->type, count);
    if (made == NULL) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < given; at++) {
        PyTuple_SET_ITEM(made, at, Py_NewRef(args[at]));
    }
    if (keywords != NULL) {
        for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(keywords); number++) {
            Py_ssize_t at = place_named(shape->names, given, PyTuple_GET_ITEM(keywords, number));
            if (at < 0 || PyTuple_GET_ITEM(made, at) != NULL) {
                goto misfit;
            }
            PyTuple_SET_ITEM(made, at, Py_NewRef(args[given + number]));
        }
    }
    Py_ssize_t required = count - PyTuple_GET_SIZE(shape->defaults);
    for (Py_ssize_t at = given; at < count; at++) {
        if (PyTuple_GET_ITEM(made, at) == NULL) {
            if (at < required) {
                goto misfit;
            }
            PyTuple_SET_ITEM(made, at, Py_NewRef(PyTuple_GET_ITEM(shape->defaults, at - required)));
        }
    }
    return made;
misfit:
    Py_DECREF(made);
    return as_ever(type, args, given, keywords);
}

static PyObject *
replace(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    const Shape *shape = place_of(Py_TYPE(self));
    if (shape->type == NULL) { /* of a class derived from one that was quickened */
        for (PyTypeObject *base = Py_TYPE(self)->tp_base; base != NULL && shape->type == NULL; base = base->tp_base) {
            shape = place_of(base);
        }
        goto usual;
    }
    if (count == 0 && keywords != NULL) {
        Py_ssize_t size = PyTuple_GET_SIZE(self);
        PyObject *made = shape->type->tp_alloc(shape->type, size);
        if (made == NULL) {
            return NULL;
        }
        Py_ssize_t number = 0;
        for (; number < PyTuple_GET_SIZE(keywords); number++) {
            Py_ssize_t at = place_named(shape->names, 0, PyTuple_GET_ITEM(keywords, number));
            if (at < 0 || at >= size || PyTuple_GET_ITEM(made, at) != NULL) {
                break;
            }
            PyTuple_SET_ITEM(made, at, Py_NewRef(args[number]));
        }
        if (number == PyTuple_GET_SIZE(keywords)) {
            for (Py_ssize_t at = 0; at < size; at++) {
                if (PyTuple_GET_ITEM(made, at) == NULL) {
                    PyTuple_SET_ITEM(made, at, Py_NewRef(PyTuple_GET_ITEM(self, at)));
                }
            }
            return made;
        }
        Py_DECREF(made);
    }
usual:;
    PyObject *found = NULL, *bound = PyMethod_New(shape->replace, self);
    if (bound != NULL) {
        found = PyObject_Vectorcall(bound, args, (size_t)count, keywords);
        Py_DECREF(bound);
    }
    return found;
}

static PyMethodDef replace_definition = {
    "_replace", (PyCFunction)(void (*)(void))replace, METH_FASTCALL | METH_KEYWORDS,
    PyDoc_STR("Return a new object replacing specified fields with new values"),
};

PyDoc_STRVAR(made_doc, "made(cls, fields)\n--\n\n"
             "Return a named tuple of a tuple or list of all fields, in their order; as tuple.__new__, nothing is checked.");

static PyObject *
made(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || place_of((PyTypeObject *)args[0])->type == NULL
        || !(PyTuple_Check(args[1]) || PyList_CheckExact(args[1]))) {
        PyObject *usual = PyObject_GetAttrString((PyObject *)&PyTuple_Type, "__new__");
        if (usual == NULL) {
            return NULL;
        }
        PyObject *found = PyObject_Vectorcall(usual, args, (size_t)count, NULL);
        Py_DECREF(usual);
        return found;
    }
    PyTypeObject *type = (PyTypeObject *)args[0];
    Py_ssize_t size = PySequence_Fast_GET_SIZE(args[1]);
    PyObject *tuple = type->tp_alloc(type, size);
    if (tuple == NULL) {
        return NULL;
    }
    PyObject *const *fields = PySequence_Fast_ITEMS(args[1]);
    for (Py_ssize_t at = 0; at < size; at++) {
        PyTuple_SET_ITEM(tuple, at, Py_NewRef(fields[at]));
    }
    return tuple;
}

/* A class may be quickened if it is called as collections.namedtuple makes it: nobody put a function in between. */
static int
is_plain(PyTypeObject *type, PyObject *fields, PyObject *defaults)
{
    if (!PyTuple_CheckExact(fields) || !PyTuple_CheckExact(defaults) || !(type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        || !PyType_IsSubtype(type, &PyTuple_Type) || type->tp_init != PyBaseObject_Type.tp_init
        || type->tp_vectorcall != NULL || type->tp_itemsize != (Py_ssize_t)sizeof(PyObject *)
        || PyTuple_GET_SIZE(defaults) > PyTuple_GET_SIZE(fields)) {
        return 0;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(fields); at++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(fields, at))) {
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(quicken_doc, "quicken(cls, defaults)\n--\n\n"
             "Make calls of a named tuple class cheap; `defaults` are those of its last fields.\n"
             "Returns whether that was possible.");

static PyObject *
quicken(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    PyObject *defaults;
    if (!PyArg_ParseTuple(args, "O!O!:quicken", &PyType_Type, &type, &PyTuple_Type, &defaults)) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030E0000
    Py_RETURN_FALSE; /* from 3.14 on a tuple keeps its hash, in a place of its own: not tried */
#endif
    PyObject *fields = PyObject_GetAttrString((PyObject *)type, "_fields");
    if (fields == NULL) {
        return NULL;
    }
    if (!is_plain(type, fields, defaults) || known * 2 >= CLASSES_MAX) {
        Py_DECREF(fields);
        Py_RETURN_FALSE;
    }
    PyObject *usual = PyObject_GetAttrString((PyObject *)type, "_replace");
    PyObject *quick = usual == NULL ? NULL : PyDescr_NewMethod(type, &replace_definition);
    if (quick == NULL || PyObject_SetAttrString((PyObject *)type, "_replace", quick) < 0) {
        Py_XDECREF(quick);
        Py_XDECREF(usual);
        Py_DECREF(fields);
        return NULL;
    }
    Py_DECREF(quick);
    *place_of(type) = (Shape){(PyTypeObject *)Py_NewRef((PyObject *)type), fields, Py_NewRef(defaults), usual};
    known++;
    type->tp_vectorcall = construct;
    Py_RETURN_TRUE;
}

static PyMethodDef functions[] = {
    {"made", (PyCFunction)(void (*)(void))made, METH_FASTCALL, made_doc},
    {"quicken", quicken, METH_VARARGS, quicken_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "streams.constructors",
    .m_doc = "Named tuples at the cost of a tuple.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit_constructors(void)
{
    return PyModule_Create(&definition);
}
