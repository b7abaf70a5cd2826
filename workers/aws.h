/*
 * What libcurl needs to sign a request for AWS (SigV4).  A key is
 * "AKID:SECRET" or "AKID:SECRET:TOKEN"; one without a colon is a token for a
 * bearer, which nobody signs.  Nothing is allocated; whoever has an aws_t wipes
 * it.
 */

#ifndef AWS_H
#define AWS_H

#include "ai_str.h"

#define AWS_SPEC_MAX    128
#define AWS_ID_MAX      128         /* bytes of an access key's id */
#define AWS_SECRET_MAX  512
#define AWS_REGION_MAX  32

typedef struct {
    char      spec[AWS_SPEC_MAX];   /* "aws:amz:REGION:SERVICE" */
    char      id[AWS_ID_MAX];
    char      secret[AWS_SECRET_MAX];
    ai_str_t  token;                /* of the key; empty: none */
} aws_t;

/* 1: a is filled in; 0: the key is for a bearer; -1: it is neither, or there is
 * no region: region where it is not empty, else what stands behind
 * "bedrock-runtime." or "bedrock-runtime-fips." in the URL's host. */
int aws_key(aws_t *a, ai_str_t key, const char *service, ai_str_t region,
    ai_str_t url);

/*
 * libcurl signs the path of the URL that it has: up to 8.13 as it is, which AWS
 * wants encoded once more.  1: url (a string that may have size bytes) is what
 * it is to be given then, target what it is to ask for instead; 0: all is well
 * as it is; -1: there is no room.  now: libcurl's version, as it numbers it.
 */
int aws_path(unsigned now, char *url, size_t size, char *target,
    size_t target_size);

#endif
