/*
 * Lists of models that a provider says it has (discover in ai_provider):
 * workers fetch them, and each process keeps its own copy, the last good one.
 */

#ifndef NGX_HTTP_AI_DISCOVER_H
#define NGX_HTTP_AI_DISCOVER_H

#include "ai_models.h"
#include "ngx_http_ai_fetched.h"


struct ngx_http_ai_discover_s {
    ngx_str_t                   type;
    time_t                      every;
    ai_models_t                *models;       /* NULL: not there yet */
    u_char                      head[AI_MODELS_HEAD];   /* of their text */
    ngx_http_ai_fetched_t       fetched;
    unsigned                    said:1;       /* what is wrong, in the log */
};


/* The line of ai_provider; and, when all of the block is known, the name. */
char *ngx_http_ai_discover_conf(ngx_conf_t *cf, void *entry);
char *ngx_http_ai_discover_done(ngx_conf_t *cf,
    ngx_http_ai_provider_t *provider);

/* Frees this process' copies. */
void ngx_http_ai_discover_exit_process(void);

/* NULL: its list has none of this name, or it has no list. */
const ai_models_row_t *ngx_http_ai_discover_find(
    ngx_http_ai_provider_t *provider, ngx_str_t *model);

/*
 * What a model of a provider costs: of ai_price, else of the provider's list,
 * written into *room.  NULL: nobody knows.
 */
const ai_price_t *ngx_http_ai_discover_price(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *provider, ngx_str_t *model, ai_price_t *room);


#endif /* NGX_HTTP_AI_DISCOVER_H */
