/*
 * GET /v1/models: what this caller can use now; see the header.  Answers are
 * made in the request's pool.
 */

#include "ngx_http_ai_models.h"
#include "ngx_http_ai_discover.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_limit.h"
#include "ngx_http_ai_model_row.h"


#define NGX_HTTP_AI_MODELS_MAX       10000    /* of a list */
#define NGX_HTTP_AI_MODELS_PAGE      1000     /* Anthropic's largest limit */


static ngx_int_t ngx_http_ai_models_of(ngx_http_ai_provider_t *provider,
    ngx_str_t *name);
static ngx_array_t *ngx_http_ai_models_list(ngx_http_request_t *r,
    ngx_http_ai_principal_t *principal);
static ngx_int_t ngx_http_ai_models_found(ngx_http_request_t *r,
    ngx_array_t *list, ngx_http_ai_principal_t *principal);
static ngx_int_t ngx_http_ai_models_listed(ngx_str_t *list, ngx_str_t *model);
static ngx_int_t ngx_http_ai_models_push(ngx_http_request_t *r,
    ngx_array_t *list, ngx_http_ai_principal_t *principal, ngx_str_t *id,
    ngx_str_t *owner);
static ngx_int_t ngx_http_ai_models_page(ngx_http_request_t *r,
    ngx_array_t *list, ngx_uint_t *first, ngx_uint_t *last, ngx_uint_t *more);
static ngx_int_t ngx_http_ai_models_arg(ngx_http_request_t *r, char *name,
    ngx_array_t *list, ngx_uint_t *index);
static ngx_uint_t ngx_http_ai_models_index(ngx_array_t *list, ngx_str_t *id);


ngx_int_t
ngx_http_ai_models_handler(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_str_t *id)
{
    size_t                    size;
    u_char                   *p;
    ai_buf_t                  b;
    ngx_str_t                 provider, model;
    ngx_uint_t                i, first, last, more;
    ngx_array_t              *list;
    ai_dialect_e              dialect;
    ngx_http_ai_model_row_t  *row, one;
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_ai_module);
    dialect = ngx_http_ai_error_dialect(r);

    if (id != NULL && id->len) {

        if (id->len > 256
            || ngx_http_ai_model_known(amcf, id) != NGX_OK
            || ngx_http_ai_model_allowed(ctx->principal, id) != NGX_OK)
        {
            return ngx_http_ai_error_send(r, "model_not_found", NULL, 0, -1);
        }

        one.id = *id;
        ngx_str_set(&one.owner, "ngx-ai");

        if (ngx_http_ai_find_model(amcf, id) == NULL
            && ngx_http_ai_split_model(id, &provider, &model) == NGX_OK)
        {
            one.owner = provider;
        }

        ngx_http_ai_model_row_fill(amcf, &one);

        size = ngx_http_ai_model_row_size(&one);
        p = ngx_pnalloc(r->pool, size);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ai_buf_init(&b, (char *) p, size);
        ngx_http_ai_model_row_write(&b, dialect, &one, amcf->loaded);

        return ngx_http_ai_send_json(r, NGX_HTTP_OK, p, ai_buf_len(&b));
    }

    list = ngx_http_ai_models_list(r, ctx->principal);
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    row = list->elts;
    first = 0;
    last = list->nelts;
    more = 0;

    if (dialect == AI_DIALECT_ANTHROPIC
        && ngx_http_ai_models_page(r, list, &first, &last, &more) != NGX_OK)
    {
        return ngx_http_ai_error_send(r, "bad_request", NULL, 0, -1);
    }

    size = NGX_HTTP_AI_MODEL_ROW_ROOM;

    for (i = first; i < last; i++) {
        ngx_http_ai_model_row_fill(amcf, &row[i]);
        size += ngx_http_ai_model_row_size(&row[i]) + 1;
    }

    if (last > first) {
        size += 6 * (row[first].id.len + row[last - 1].id.len);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ai_buf_init(&b, (char *) p, size);
    ai_buf_add_z(&b, dialect == AI_DIALECT_ANTHROPIC
                     ? "{\"data\":[" : "{\"object\":\"list\",\"data\":[");

    for (i = first; i < last; i++) {
        if (i > first) {
            ai_buf_add_z(&b, ",");
        }

        ngx_http_ai_model_row_write(&b, dialect, &row[i], amcf->loaded);
    }

    ai_buf_add_z(&b, "]");

    if (dialect == AI_DIALECT_ANTHROPIC) {
        ai_buf_add_z(&b, ",\"has_more\":");
        ai_buf_add_z(&b, more ? "true" : "false");

        if (last > first) {
            ai_buf_add_z(&b, ",\"first_id\":\"");
            ai_buf_add_json(&b, ngx_http_ai_str(&row[first].id));
            ai_buf_add_z(&b, "\",\"last_id\":\"");
            ai_buf_add_json(&b, ngx_http_ai_str(&row[last - 1].id));
            ai_buf_add_z(&b, "\"");

        } else {
            ai_buf_add_z(&b, ",\"first_id\":null,\"last_id\":null");
        }
    }

    ai_buf_add_z(&b, "}");

    return ngx_http_ai_send_json(r, NGX_HTTP_OK, p, ai_buf_len(&b));
}


ngx_int_t
ngx_http_ai_model_allowed(ngx_http_ai_principal_t *principal, ngx_str_t *model)
{
    ngx_http_ai_plan_t  *plan;

    plan = ngx_http_ai_edge == NULL
           ? NULL : ngx_http_ai_plan(ngx_http_ai_edge->amcf, principal);

    if (plan != NULL
        && ngx_http_ai_models_listed(&plan->models, model) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_ai_models_listed(&principal->models, model);
}


/* An empty list has all. */

static ngx_int_t
ngx_http_ai_models_listed(ngx_str_t *list, ngx_str_t *model)
{
    u_char  *p, *end, *space;

    if (list->len == 0) {
        return NGX_OK;
    }

    p = list->data;
    end = p + list->len;

    while (p < end) {
        space = ngx_strlchr(p, end, ' ');
        if (space == NULL) {
            space = end;
        }

        if ((size_t) (space - p) == model->len
            && ngx_memcmp(p, model->data, model->len) == 0)
        {
            return NGX_OK;
        }

        p = space + 1;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_ai_model_known(ngx_http_ai_main_conf_t *amcf, ngx_str_t *model)
{
    ngx_str_t                provider, name;
    ngx_http_ai_provider_t  *p;

    if (ngx_http_ai_find_model(amcf, model) != NULL) {
        return NGX_OK;
    }

    if (ngx_http_ai_split_model(model, &provider, &name) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_http_ai_find_provider(amcf, &provider);

    return p != NULL ? ngx_http_ai_models_of(p, &name) : NGX_DECLINED;
}


/* Whether a provider may be asked for it. */

static ngx_int_t
ngx_http_ai_models_of(ngx_http_ai_provider_t *provider, ngx_str_t *name)
{
    ngx_str_t   *one;
    ngx_uint_t   i;

    one = provider->models.elts;

    for (i = 0; i < provider->models.nelts; i++) {
        if (one[i].len == name->len
            && ngx_memcmp(one[i].data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    return provider->models.nelts ? NGX_DECLINED : NGX_OK;
}


/*
 * The names of ai_model, what has a price at a declared provider, the built-in
 * echo, and what was found: what can be listed without asking a provider.
 */

static ngx_array_t *
ngx_http_ai_models_list(ngx_http_request_t *r,
    ngx_http_ai_principal_t *principal)
{
    ngx_str_t                 id, owner;
    ngx_uint_t                i;
    ngx_array_t              *list;
    ngx_http_ai_model_t      *model;
    ngx_http_ai_price_t      *price;
    ngx_http_ai_main_conf_t  *amcf;

    static ngx_str_t  echo = ngx_string("echo/echo");

    amcf = ngx_http_get_module_main_conf(r, ngx_http_ai_module);

    list = ngx_array_create(r->pool, 16, sizeof(ngx_http_ai_model_row_t));
    if (list == NULL) {
        return NULL;
    }

    model = amcf->models.elts;
    ngx_str_set(&owner, "ngx-ai");

    for (i = 0; i < amcf->models.nelts; i++) {
        if (ngx_http_ai_models_push(r, list, principal, &model[i].name, &owner)
            != NGX_OK)
        {
            return NULL;
        }
    }

    /* No id twice: a name of ai_model stands for what is called the same. */

    if (ngx_http_ai_find_model(amcf, &echo) == NULL) {
        ngx_str_set(&owner, "echo");

        if (ngx_http_ai_models_push(r, list, principal, &echo, &owner)
            != NGX_OK)
        {
            return NULL;
        }
    }

    price = amcf->prices.elts;

    for (i = 0; i < amcf->prices.nelts; i++) {

        if (ngx_http_ai_find_provider(amcf, &price[i].provider) == NULL) {
            continue;
        }

        /* Both were cut from one "provider/model". */

        id.data = price[i].provider.data;
        id.len = price[i].provider.len + 1 + price[i].model.len;

        if (ngx_http_ai_model_known(amcf, &id) != NGX_OK
            || ngx_http_ai_find_model(amcf, &id) != NULL
            || (id.len == echo.len
                && ngx_memcmp(id.data, echo.data, echo.len) == 0))
        {
            continue;
        }

        if (ngx_http_ai_models_push(r, list, principal, &id,
                                    &price[i].provider) != NGX_OK)
        {
            return NULL;
        }
    }

    return ngx_http_ai_models_found(r, list, principal) == NGX_OK ? list
                                                                  : NULL;
}


/*
 * What providers say that they have, may be asked for and nothing above stands
 * for.  A name is copied once it is in the list: of a caller who may have few
 * most are not.
 */

static ngx_int_t
ngx_http_ai_models_found(ngx_http_request_t *r, ngx_array_t *list,
    ngx_http_ai_principal_t *principal)
{
    u_char                   *p;
    ngx_str_t                 id, name;
    ngx_uint_t                i, k, n;
    ai_models_t              *models;
    ngx_http_ai_provider_t   *provider;
    ngx_http_ai_main_conf_t  *amcf;
    ngx_http_ai_model_row_t  *row;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_ai_module);
    provider = amcf->providers.elts;

    for (i = 0; i < amcf->providers.nelts; i++) {

        models = provider[i].discover != NULL ? provider[i].discover->models
                                              : NULL;

        if (models == NULL) {
            continue;
        }

        id.data = ngx_pnalloc(r->pool, provider[i].name.len + 1
                                       + AI_MODELS_ID_MAX);
        if (id.data == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < models->n; k++) {

            if (list->nelts >= NGX_HTTP_AI_MODELS_MAX) {
                return NGX_OK;
            }

            name.len = models->rows[k].id.len;
            name.data = (u_char *) models->rows[k].id.data;

            if (ngx_http_ai_models_of(&provider[i], &name) != NGX_OK) {
                continue;
            }

            p = ngx_copy(id.data, provider[i].name.data,
                         provider[i].name.len);
            *p++ = '/';
            p = ngx_copy(p, name.data, name.len);
            id.len = p - id.data;

            if (ngx_http_ai_find_model(amcf, &id) != NULL
                || ngx_http_ai_find_price(amcf, &provider[i].name, &name)
                   != NULL)
            {
                continue;
            }

            n = list->nelts;

            if (ngx_http_ai_models_push(r, list, principal, &id,
                                        &provider[i].name) != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (list->nelts > n) {
                row = (ngx_http_ai_model_row_t *) list->elts + n;
                row->id.data = ngx_pstrdup(r->pool, &id);

                if (row->id.data == NULL) {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_models_push(ngx_http_request_t *r, ngx_array_t *list,
    ngx_http_ai_principal_t *principal, ngx_str_t *id, ngx_str_t *owner)
{
    ngx_http_ai_model_row_t  *row;

    if (list->nelts >= NGX_HTTP_AI_MODELS_MAX
        || ngx_http_ai_model_allowed(principal, id) != NGX_OK)
    {
        return NGX_OK;
    }

    row = ngx_array_push(list);
    if (row == NULL) {
        return NGX_ERROR;
    }

    row->id = *id;
    row->owner = *owner;

    return NGX_OK;
}


/*
 * Anthropic's limit, after_id and before_id; more: whether a list goes on in
 * the direction that was asked for.
 */

static ngx_int_t
ngx_http_ai_models_page(ngx_http_request_t *r, ngx_array_t *list,
    ngx_uint_t *first, ngx_uint_t *last, ngx_uint_t *more)
{
    ngx_int_t   rc, limit;
    ngx_str_t   value;
    ngx_uint_t  i;

    limit = 20;

    if (ngx_http_arg(r, (u_char *) "limit", 5, &value) == NGX_OK) {
        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_AI_MODELS_PAGE) {
            return NGX_DECLINED;
        }
    }

    rc = ngx_http_ai_models_arg(r, "after_id", list, &i);

    if (rc == NGX_OK) {
        *first = i + 1;

    } else if (rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    rc = ngx_http_ai_models_arg(r, "before_id", list, &i);

    if (rc == NGX_OK) {
        *last = ngx_max(i, *first);

        if (*last - *first > (ngx_uint_t) limit) {
            *first = *last - limit;
            *more = 1;
        }

        return NGX_OK;
    }

    if (rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    if (*last - *first > (ngx_uint_t) limit) {
        *last = *first + limit;
        *more = 1;
    }

    return NGX_OK;
}


/* Where the model of an argument stands: NGX_DECLINED without the argument,
 * NGX_ERROR where it names none of the list. */

static ngx_int_t
ngx_http_ai_models_arg(ngx_http_request_t *r, char *name, ngx_array_t *list,
    ngx_uint_t *index)
{
    u_char     *dst, *src;
    ngx_str_t   value, id;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    id.data = ngx_pnalloc(r->pool, value.len + 1);
    if (id.data == NULL) {
        return NGX_ERROR;
    }

    dst = id.data;
    src = value.data;
    ngx_unescape_uri(&dst, &src, value.len, 0);
    id.len = dst - id.data;

    *index = ngx_http_ai_models_index(list, &id);

    return *index < list->nelts ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_ai_models_index(ngx_array_t *list, ngx_str_t *id)
{
    ngx_uint_t                i;
    ngx_http_ai_model_row_t  *row;

    row = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (row[i].id.len == id->len
            && ngx_memcmp(row[i].id.data, id->data, id->len) == 0)
        {
            break;
        }
    }

    return i;
}
