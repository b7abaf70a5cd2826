/*
 * The module's tables: directives, phases, processes.  No logic stands here.
 */

#include "ngx_http_ai_conf.h"
#include "ngx_http_ai_cors.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_health.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_steps.h"


static ngx_int_t ngx_http_ai_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_ai_postconfiguration(ngx_conf_t *cf);


static ngx_conf_bitmask_t  ngx_http_ai_auth_values[] = {
    { ngx_string("off"), NGX_HTTP_AI_AUTH_OFF },
    { ngx_string("key"), NGX_HTTP_AI_AUTH_KEY },
    { ngx_string("jwt"), NGX_HTTP_AI_AUTH_JWT },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ai_on_disconnect_values[] = {
    { ngx_string("cancel"), NGX_HTTP_AI_DISCONNECT_CANCEL },
    { ngx_string("continue"), NGX_HTTP_AI_DISCONNECT_CONTINUE },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ai_translate_values[] = {
    { ngx_string("lenient"), NGX_HTTP_AI_TRANSLATE_LENIENT },
    { ngx_string("strict"), NGX_HTTP_AI_TRANSLATE_STRICT },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ai_cache_scopes[] = {
    { ngx_string("tenant"), NGX_HTTP_AI_SCOPE_TENANT },
    { ngx_string("user"), NGX_HTTP_AI_SCOPE_USER },
    { ngx_string("key"), NGX_HTTP_AI_SCOPE_KEY },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ai_log_levels[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_ai_limit_status_bounds = {
    ngx_conf_check_num_bounds, 400, 599
};


static ngx_conf_num_bounds_t  ngx_http_ai_max_streams_bounds = {
    ngx_conf_check_num_bounds, 1, 1000000
};


#define NGX_HTTP_AI_ANY_CONF  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF          \
                               |NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_http_ai_commands[] = {

    { ngx_string("ai_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ai_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_ai_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_ai_conf_provider,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_model"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_ai_conf_model,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_price"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_ai_conf_price,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_plan"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_ai_conf_plan,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_limit"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_2MORE,
      ngx_http_ai_conf_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_limit_dry_run"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, limit_dry_run),
      NULL },

    { ngx_string("ai_limit_status"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, limit_status),
      &ngx_http_ai_limit_status_bounds },

    { ngx_string("ai_limit_log_level"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, limit_log_level),
      &ngx_http_ai_log_levels },

    { ngx_string("ai_auth"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE12,
      ngx_http_ai_conf_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_ai_auth_values },

    { ngx_string("ai_jwt_key"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_2MORE,
      ngx_http_ai_conf_jwt_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_jwt_claim"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_ai_conf_jwt_claim,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_tenant"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_ai_conf_tenant,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ai_conf_content,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_ai_pass_handler },

    { ngx_string("ai_error"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ai_conf_content,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_ai_error_handler },

    { ngx_string("ai_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ai_conf_content,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_ai_health_handler },

    { ngx_string("ai_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ai_conf_content,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_ai_metrics_handler },

    { ngx_string("ai_resume"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, resume),
      NULL },

    { ngx_string("ai_result_ttl"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, result_ttl),
      NULL },

    { ngx_string("ai_on_disconnect"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, on_disconnect),
      &ngx_http_ai_on_disconnect_values },

    { ngx_string("ai_redis_error"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE123,
      ngx_http_ai_conf_redis_error,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_queue_timeout"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, queue_timeout),
      NULL },

    { ngx_string("ai_backlog"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE12,
      ngx_http_ai_conf_backlog,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_header_delay"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, header_delay),
      NULL },

    { ngx_string("ai_stream_heartbeat"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_http_ai_conf_heartbeat,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_stream_buffers"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE2,
      ngx_http_ai_conf_buffers,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, buffers),
      NULL },

    { ngx_string("ai_max_streams"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, max_streams),
      &ngx_http_ai_max_streams_bounds },

    { ngx_string("ai_body_memory"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, body_memory),
      NULL },

    { ngx_string("ai_cors"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_ai_conf_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_cache"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE12,
      ngx_http_ai_conf_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_cache_scope"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, cache_scope),
      &ngx_http_ai_cache_scopes },

    { ngx_string("ai_cache_bypass"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_1MORE,
      ngx_http_set_predicate_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, cache_bypass),
      NULL },

    { ngx_string("ai_cache_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_ai_conf_cache_size,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ai_coalesce"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, coalesce),
      NULL },

    { ngx_string("ai_translate"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ai_loc_conf_t, translate),
      &ngx_http_ai_translate_values },

    { ngx_string("ai_forward_header"),
      NGX_HTTP_AI_ANY_CONF|NGX_CONF_2MORE,
      ngx_http_ai_conf_forward,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ai_module_ctx = {
    ngx_http_ai_preconfiguration,          /* preconfiguration */
    ngx_http_ai_postconfiguration,         /* postconfiguration */

    ngx_http_ai_create_main_conf,          /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ai_create_loc_conf,           /* create location configuration */
    ngx_http_ai_merge_loc_conf             /* merge location configuration */
};


ngx_module_t  ngx_http_ai_module = {
    NGX_MODULE_V1,
    &ngx_http_ai_module_ctx,               /* module context */
    ngx_http_ai_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_ai_metrics_init_module,       /* init module */
    ngx_http_ai_edge_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ai_edge_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_ai_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_ai_add_variables(cf);
}


static ngx_int_t
ngx_http_ai_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ai_identify_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ai_refuse_handler;

    if (ngx_http_ai_cors_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ai_conf_done(cf);
}
