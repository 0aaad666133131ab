/* A SPIR-V module is a list of instructions over ids. One pass notes, per id, the instruction that defines it
 * and its decorations; then the few variables of interest are followed through their types. Formats: the
 * SPIR-V specification, sections 2.3 (layout), 3.37 (instructions). */
#include "vk/pipeline/reflect.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"

enum {
    MAGIC = 0x07230203,
    HEADER_WORDS = 5,
    MAX_IDS = 1 << 20,
    MAX_DEPTH = 8,
};
enum op {
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_MATRIX = 24,
    OP_TYPE_IMAGE = 25,
    OP_TYPE_SAMPLED_IMAGE = 27,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_EXECUTION_MODE_ID = 331,
};
enum { MODE_LOCAL_SIZE = 17, MODE_LOCAL_SIZE_ID = 38 };
enum { DECO_SPEC_ID = 1, DECO_BLOCK = 2, DECO_BUFFER_BLOCK = 3, DECO_ARRAY_STRIDE = 6, DECO_BUILTIN = 11 };
enum { DECO_NON_WRITABLE = 24, DECO_BINDING = 33, DECO_SET = 34, DECO_OFFSET = 35 };
enum { BUILTIN_NUM_WORKGROUPS = 24, BUILTIN_WORKGROUP_SIZE = 25, DIM_BUFFER = 5 };
enum { CLASS_UNIFORM_CONSTANT = 0, CLASS_UNIFORM = 2, CLASS_PUSH_CONSTANT = 9, CLASS_STORAGE_BUFFER = 12 };
enum { CAPABILITY_GROUP_NON_UNIFORM = 61, CAPABILITY_GROUP_NON_UNIFORM_QUAD = 68 };

struct id {
    const uint32_t *def; /* the defining instruction, or NULL */
    uint32_t n_words;
    uint32_t binding, set, spec_id, array_stride;
    bool has_binding, has_spec_id, buffer_block, non_writable, workgroup_size;
    uint32_t n_read_only_members;
};
struct module {
    const uint32_t *words;
    size_t n_words;
    struct id *ids;
    uint32_t n_ids;
    const uint32_t *spec;
    uint32_t n_spec;
    const char *name;
    const struct pv_log *log;
};

static enum pv_status malformed(const struct module *m, const char *what)
{
    return pv_fail(m->log, PV_ERR_FORMAT, "shader %s: malformed SPIR-V (%s)", m->name, what);
}

static struct id *get(const struct module *m, uint32_t id)
{
    static struct id nothing; /* never written: only read when an id is out of range */
    return id < m->n_ids ? &m->ids[id] : &nothing;
}

static enum op opcode(const struct id *id)
{
    return id->def ? (enum op)(id->def[0] & 0xffff) : 0;
}

/* Word `i` of an instruction, 0 past its end. */
static uint32_t word(const struct id *id, uint32_t i)
{
    return i < id->n_words ? id->def[i] : 0;
}

/* ---- first pass ---- */

static void note_decoration(struct module *m, const uint32_t *w, uint32_t n)
{
    if (n < 3 || w[1] >= m->n_ids)
        return;
    struct id *id = &m->ids[w[1]];
    const uint32_t value = n > 3 ? w[3] : 0;
    switch (w[2]) {
    case DECO_SPEC_ID:
        id->spec_id = value;
        id->has_spec_id = true;
        break;
    case DECO_BUFFER_BLOCK:
        id->buffer_block = true;
        break;
    case DECO_ARRAY_STRIDE:
        id->array_stride = value;
        break;
    case DECO_BUILTIN:
        id->workgroup_size = value == BUILTIN_WORKGROUP_SIZE;
        break;
    case DECO_NON_WRITABLE:
        id->non_writable = true;
        break;
    case DECO_BINDING:
        id->binding = value;
        id->has_binding = true;
        break;
    case DECO_SET:
        id->set = value;
        break;
    default:
        break;
    }
}

/* Index of the word that holds the result id; 0: the instruction is of no interest. */
static uint32_t result_word(enum op op)
{
    switch (op) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_MATRIX:
    case OP_TYPE_IMAGE:
    case OP_TYPE_SAMPLED_IMAGE:
    case OP_TYPE_ARRAY:
    case OP_TYPE_STRUCT:
    case OP_TYPE_POINTER:
        return 1;
    case OP_CONSTANT:
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT:
    case OP_SPEC_CONSTANT_COMPOSITE:
    case OP_VARIABLE:
        return 2;
    default:
        return 0;
    }
}

static bool is_subgroup_capability(uint32_t capability)
{
    return capability >= CAPABILITY_GROUP_NON_UNIFORM && capability <= CAPABILITY_GROUP_NON_UNIFORM_QUAD;
}

/* Notes definitions and decorations; *mode is the instruction that gives the workgroup size. */
static enum pv_status scan(struct module *m, const uint32_t **mode, struct pv_reflection *out)
{
    for (size_t at = HEADER_WORDS; at < m->n_words;) {
        const uint32_t *w = m->words + at;
        const uint32_t n = w[0] >> 16;
        const enum op op = (enum op)(w[0] & 0xffff);
        if (n == 0 || n > m->n_words - at)
            return malformed(m, "an instruction runs past the end");
        const uint32_t result = result_word(op);
        if (result > 0) {
            if (n <= result || w[result] >= m->n_ids)
                return malformed(m, "an id is out of bounds");
            m->ids[w[result]].def = w;
            m->ids[w[result]].n_words = n;
        } else if (op == OP_DECORATE) {
            note_decoration(m, w, n);
            out->counts_workgroups =
                out->counts_workgroups || (n > 3 && w[2] == DECO_BUILTIN && w[3] == BUILTIN_NUM_WORKGROUPS);
        } else if (op == OP_MEMBER_DECORATE && n > 3 && w[1] < m->n_ids && w[3] == DECO_NON_WRITABLE) {
            m->ids[w[1]].n_read_only_members++;
        } else if (op == OP_CAPABILITY && n > 1) {
            out->subgroups = out->subgroups || is_subgroup_capability(w[1]);
        } else if ((op == OP_EXECUTION_MODE && n > 5 && w[2] == MODE_LOCAL_SIZE) ||
                   (op == OP_EXECUTION_MODE_ID && n > 5 && w[2] == MODE_LOCAL_SIZE_ID)) {
            *mode = w;
        }
        at += n;
    }
    return PV_OK;
}

/* ---- second pass ---- */

static uint32_t member_offset(const struct module *m, uint32_t type, uint32_t member)
{
    for (size_t at = HEADER_WORDS; at < m->n_words; at += m->words[at] >> 16) {
        const uint32_t *w = m->words + at;
        if ((w[0] & 0xffff) == OP_MEMBER_DECORATE && w[0] >> 16 > 4 && w[1] == type && w[2] == member &&
            w[3] == DECO_OFFSET)
            return w[4];
    }
    return 0;
}

static uint32_t constant(const struct module *m, uint32_t id)
{
    const struct id *c = get(m, id);
    if (opcode(c) != OP_CONSTANT && opcode(c) != OP_SPEC_CONSTANT)
        return 0;
    if (c->has_spec_id && c->spec_id < m->n_spec)
        return m->spec[c->spec_id];
    return word(c, 3);
}

/* Bytes of a type that a push-constant block can hold; 0 for what it cannot. */
static uint32_t type_bytes(const struct module *m, uint32_t type, int depth)
{
    const struct id *t = get(m, type);
    uint32_t size = 0;
    if (depth > MAX_DEPTH)
        return 0;
    switch (opcode(t)) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        return word(t, 2) / 8;
    case OP_TYPE_VECTOR:
    case OP_TYPE_MATRIX:
        return word(t, 3) * type_bytes(m, word(t, 2), depth + 1);
    case OP_TYPE_ARRAY:
        return constant(m, word(t, 3)) * t->array_stride;
    case OP_TYPE_STRUCT:
        for (uint32_t i = 2; i < t->n_words; i++) {
            const uint32_t end = member_offset(m, type, i - 2) + type_bytes(m, t->def[i], depth + 1);
            size = end > size ? end : size;
        }
        return size;
    default:
        return 0;
    }
}

static enum pv_binding_kind binding_kind(const struct id *type, uint32_t storage_class,
                                         const struct module *m)
{
    if (opcode(type) == OP_TYPE_SAMPLED_IMAGE)
        type = get(m, word(type, 2));
    if (opcode(type) == OP_TYPE_IMAGE)
        return word(type, 3) == DIM_BUFFER && word(type, 7) == 1 ? PV_BINDING_TEXEL : PV_BINDING_NONE;
    if (opcode(type) != OP_TYPE_STRUCT)
        return PV_BINDING_NONE;
    if (storage_class == CLASS_STORAGE_BUFFER || type->buffer_block)
        return PV_BINDING_STORAGE;
    return storage_class == CLASS_UNIFORM ? PV_BINDING_UNIFORM : PV_BINDING_NONE;
}

static enum pv_status note_variable(const struct module *m, const struct id *v, struct pv_reflection *out)
{
    const uint32_t storage_class = word(v, 3);
    const struct id *pointer = get(m, word(v, 1));
    const uint32_t type = opcode(pointer) == OP_TYPE_POINTER ? word(pointer, 3) : 0;
    const struct id *t = get(m, type);
    if (storage_class == CLASS_PUSH_CONSTANT)
        out->push_bytes = type_bytes(m, type, 0);
    if (storage_class != CLASS_UNIFORM_CONSTANT && storage_class != CLASS_UNIFORM &&
        storage_class != CLASS_STORAGE_BUFFER)
        return PV_OK;
    const enum pv_binding_kind kind = binding_kind(t, storage_class, m);
    if (kind == PV_BINDING_NONE || !v->has_binding || v->set != 0 || v->binding >= PV_REFLECT_BINDINGS)
        return pv_fail(m->log, PV_ERR_UNSUPPORTED, "shader %s: binding %u of set %u is nothing Parvin binds",
                       m->name, v->binding, v->set);
    const uint32_t n_members = t->n_words > 2 ? t->n_words - 2 : 0;
    const bool read_only = v->non_writable || (n_members > 0 && t->n_read_only_members >= n_members);
    out->bindings[v->binding].kind = kind;
    out->bindings[v->binding].writes = kind == PV_BINDING_STORAGE && !read_only;
    if (v->binding >= out->n_bindings)
        out->n_bindings = v->binding + 1;
    return PV_OK;
}

static void note_local_size(const struct module *m, const uint32_t *mode, struct pv_reflection *out)
{
    for (int i = 0; i < 3; i++)
        out->local_size[i] = (mode[0] & 0xffff) == OP_EXECUTION_MODE ? mode[3 + i] : constant(m, mode[3 + i]);
    for (uint32_t i = 0; i < m->n_ids; i++) { /* a constant decorated WorkgroupSize overrides the mode */
        const struct id *id = &m->ids[i];
        if (!id->workgroup_size ||
            (opcode(id) != OP_SPEC_CONSTANT_COMPOSITE && opcode(id) != OP_CONSTANT_COMPOSITE))
            continue;
        for (uint32_t k = 0; k < 3; k++)
            out->local_size[k] = constant(m, word(id, 3 + k));
    }
}

enum pv_status pv_reflect(const uint32_t *words, size_t size_bytes, const uint32_t *spec, uint32_t n_spec,
                          const char *name, const struct pv_log *log, struct pv_reflection *out)
{
    struct module m = {
        .words = words, .n_words = size_bytes / 4, .spec = spec, .n_spec = n_spec, .name = name, .log = log};
    const uint32_t *mode = NULL;
    enum pv_status status = PV_OK;
    *out = (struct pv_reflection){0};
    if (m.n_words < HEADER_WORDS || words[0] != MAGIC || words[3] == 0 || words[3] > MAX_IDS)
        return malformed(&m, "no header");
    m.n_ids = words[3];
    m.ids = pv_calloc(m.n_ids, sizeof *m.ids);
    if (!m.ids)
        return pv_fail(log, PV_ERR_NOMEM, "shader %s: out of memory", name);
    PV_TRY_GOTO(scan(&m, &mode, out));
    if (!mode) {
        status = malformed(&m, "no workgroup size");
        goto fail;
    }
    for (uint32_t i = 0; i < m.n_ids; i++)
        if (opcode(&m.ids[i]) == OP_VARIABLE)
            PV_TRY_GOTO(note_variable(&m, &m.ids[i], out));
    note_local_size(&m, mode, out);
fail:
    free(m.ids);
    return status;
}
