# ngx-ai.  `make run` starts a gateway here; `make test` runs everything.
#
#   CC=gcc|clang        the compiler
#   SAN=1|tsan|fuzz     workers and unit tests with ASan and UBSan, with TSan,
#                       or for libFuzzer (clang), elsewhere
#   COV=1               those with gcov's counters, elsewhere
#   NGX_SRC=DIR         nginx's sources instead of Debian's nginx-dev
#   PREFIX, DESTDIR     for install
#   V=1                 show the commands
#   BENCH=--quick       arguments of bench/run.sh
#   TESTS="t/05-run.t"  for test and test-full

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
COV ?=
PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
NGX_SRC ?= /usr/share/nginx/src
NGX_MODULES ?= /usr/lib/nginx/modules
WERROR ?= -Werror

san_name_1 := -san
san_name_tsan := -tsan
san_name_fuzz := -fuzz
variant := $(filter-out gcc,$(notdir $(CC)))$(san_name_$(SAN))$(if $(COV),-cov)
O := build$(if $(variant),/$(patsubst -%,%,$(variant)))
G := build/gen

LIBS := libuv libcurl libpq jansson libssl libcrypto
AICTL_LIBS := libpq hiredis jansson libssl libcrypto

CFLAGS ?= -O2 -g
ai_cflags = -std=gnu11 $(CFLAGS) -D_GNU_SOURCE -Wall -Wextra $(WERROR) \
            -Isrc/contract -Iworkers $(shell pkg-config --cflags $(LIBS))
ai_ldflags = $(LDFLAGS)

# V=1 shows the commands.
Q := $(if $(filter 1,$(V)),,@)
say := $(if $(findstring s,$(firstword -$(MAKEFLAGS))),:,echo)
asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
        -fno-omit-frame-pointer
san_flags_1 := $(asan)
san_flags_tsan := -fsanitize=thread
san_flags_fuzz := $(asan) -fsanitize=fuzzer-no-link
ai_cflags += $(san_flags_$(SAN))
ai_ldflags += $(san_flags_$(SAN))

# Threads count, too.  Without -O2, lines stay what they are in the source.
ifneq ($(COV),)
ai_cflags += -O1 --coverage -fprofile-update=atomic
ai_ldflags += --coverage
endif

# A part that has no sources is skipped.
module_src := $(wildcard src/ngx_http_ai_module.c)
script_src := $(wildcard src/scripts/_prelude.lua)
contract_src := $(wildcard src/contract/*.c) \
                $(if $(script_src),$(G)/ai_scripts.c)
aictl_src := $(wildcard workers/aictl*.c)
worker_src := $(filter-out $(aictl_src),$(wildcard workers/*.c))
unit_src := $(wildcard t/unit/*_test.c)
fuzz_src := $(wildcard t/fuzz/*_fuzz.c)

objs = $(patsubst %.c,$(O)/obj/%.o,$(1))
contract_obj := $(call objs,$(contract_src))
worker_obj := $(call objs,$(worker_src))
aictl_obj := $(call objs,$(aictl_src) workers/account.c workers/price.c \
             workers/kms.c workers/vault.c)
unit_bin := $(patsubst t/unit/%.c,$(O)/t/%,$(unit_src))
fuzz_bin := $(patsubst t/fuzz/%.c,$(O)/fuzz/%,$(fuzz_src))

.PHONY: build module workers aictl units fuzzers
.PHONY: run test test-full asan chaos bench bench-rivals install clean lint
.PHONY: check
.DELETE_ON_ERROR:
.SECONDARY:

build: module workers aictl units

module: $(if $(module_src),$(if $(script_src),$(G)/ai_scripts.c))
	+$(Q)$(if $(module_src),CC='$(CC)' NGX_SRC='$(NGX_SRC)' \
	    tools/module.sh $(O),echo "no module sources yet")

workers: $(if $(filter workers/main.c,$(worker_src)),$(O)/ai-workers)

aictl: $(if $(aictl_src),$(O)/aictl)

units: $(unit_bin)

# Wants CC=clang SAN=fuzz.
fuzzers: $(fuzz_bin)

# Rewritten only when its text changes, so that a touch costs nothing.
$(G)/ai_scripts.c: $(G)/ai_scripts.stamp
	@test -f $@ || { rm -f $<; $(MAKE) -s $<; }

$(G)/ai_scripts.stamp: $(wildcard src/scripts/*.lua) src/scripts/compile.sh
	@mkdir -p $(@D)
	$(Q)$(say) '  LUA $(G)/ai_scripts.c'; \
	sh src/scripts/compile.sh src/scripts $(G)
	@touch $@

$(O)/ai-workers: $(worker_obj) $(contract_obj) $(O)/sources
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(LIBS)) -lm

$(O)/aictl: $(aictl_obj) $(contract_obj) $(O)/sources
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(AICTL_LIBS)) -lm

# A benchmark of the workers' code alone.
$(O)/bench-translate: $(O)/obj/bench/translate.o $(contract_obj) \
                      $(filter-out %/main.o,$(worker_obj)) $(O)/sources
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(LIBS)) -lm

$(O)/t/worker_%: $(O)/obj/t/unit/worker_%.o $(contract_obj) \
                 $(filter-out %/main.o,$(worker_obj)) $(O)/sources
	@mkdir -p $(@D)
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(LIBS) cmocka) -lm

# Its Redis is its own.
$(O)/t/worker_emit_test: private ai_ldflags += -Wl,--wrap=redis_script
$(O)/t/worker_breaker_test: private ai_ldflags += -Wl,--wrap=redis_script \
                                                 -Wl,--wrap=redis_command

# Its Postgres, too.
$(O)/t/worker_own_test: private ai_ldflags += -Wl,--wrap=stores_query

$(O)/t/aictl_%: $(O)/obj/t/unit/aictl_%.o $(contract_obj) \
                $(filter-out %/aictl.o,$(aictl_obj)) $(O)/sources
	@mkdir -p $(@D)
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(AICTL_LIBS) cmocka) -lm

$(O)/t/%: $(O)/obj/t/unit/%.o $(contract_obj) $(O)/sources
	@mkdir -p $(@D)
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs jansson libcrypto cmocka) -lm

$(O)/fuzz/worker_%: $(O)/obj/t/fuzz/worker_%.o $(contract_obj) \
                    $(filter-out %/main.o,$(worker_obj)) $(O)/sources
	@mkdir -p $(@D)
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -fsanitize=fuzzer -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs $(LIBS)) -lm

$(O)/fuzz/%: $(O)/obj/t/fuzz/%.o $(contract_obj) $(O)/sources
	@mkdir -p $(@D)
	$(Q)$(say) '  LD $@'; \
	$(CC) $(ai_ldflags) -fsanitize=fuzzer -o $@ $(filter %.o,$^) \
	    $(shell pkg-config --libs libcrypto) -lm

$(O)/obj/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(say) '  CC $<'; \
	$(CC) $(ai_cflags) -MMD -MP -c -o $@ $<

# One changes with the compiler and its flags, one with the set of sources.
$(O)/flags $(O)/sources: force
	@mkdir -p $(@D)
	@echo '$(said)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(O)/flags: said = $(CC) $(ai_cflags) $(ai_ldflags)
$(O)/sources: said = $(contract_src) $(worker_src) $(aictl_src)

.PHONY: force

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

run:
	@exec tools/run.sh

test:
	@exec tools/test.sh

# Longer, and in valgrind: hours.  AI_T_FUZZ_SECONDS (3600) is most of it.
test-full:
	@exec tools/test.sh --full

# Static analysis.
check: build
	@tools/check.sh all

# The module's tests in an nginx built with AddressSanitizer.
asan: build
	@tools/asan-nginx.sh build/asan
	AI_T_NGINX='$(CURDIR)/build/asan/nginx' prove -It/lib \
	    $(if $(TESTS),$(TESTS),$(wildcard t/0[67]-*.t t/20-*.t t/[46]*.t \
	    t/80-*.t t/81-upgrade.t))

# The randomised tests, long, with nginx and workers under AddressSanitizer
# where that can be built; AI_T_SEED and AI_T_STREAMS are theirs.
chaos: build
	+@$(MAKE) -s SAN=1 workers aictl
	@if tools/asan-nginx.sh build/asan; then \
	    AI_T_NGINX='$(CURDIR)/build/asan/nginx'; \
	    export AI_T_NGINX; \
	else \
	    echo 'chaos: SKIPPED: no nginx with AddressSanitizer' >&2; \
	fi; \
	AI_T_FULL=1 AI_T_BUILD='$(CURDIR)/build/san' \
	    prove -v -It/lib $(if $(TESTS),$(TESTS),t/95-chaos.t t/95-chaos-replay.t)

bench:
	@tools/packages.sh test
	+@$(MAKE) -s module workers aictl build/bench-translate
	@exec bench/run.sh $(BENCH)

# Other gateways in the same table, as far as the registries bring them.
bench-rivals:
	@$(MAKE) -s bench BENCH='--rivals $(BENCH)'

lint:
	prove -It/lib t/00-lint.t

install: module workers aictl
	install -d '$(DESTDIR)$(NGX_MODULES)' '$(DESTDIR)$(PREFIX)/bin' \
	    '$(DESTDIR)$(PREFIX)/sbin' '$(DESTDIR)$(PREFIX)/share/ngx-ai' \
	    '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	install -m 644 $(O)/ngx_http_ai_module.so '$(DESTDIR)$(NGX_MODULES)/'
	install -m 755 $(O)/ai-workers '$(DESTDIR)$(PREFIX)/sbin/'
	install -m 755 $(O)/aictl '$(DESTDIR)$(PREFIX)/bin/'
	install -m 644 conf/nginx.conf conf/redis-users.acl \
	    '$(DESTDIR)$(PREFIX)/share/ngx-ai/'
	install -m 755 tools/keys.sh '$(DESTDIR)$(PREFIX)/share/ngx-ai/'
	install -d '$(DESTDIR)$(SYSCONFDIR)/ngx-ai'
	for file in ai-log.conf ai-providers.conf ai-prices.conf ai-tenant.conf ai-policy.conf \
	    ai-tls.conf ai-behind.conf; do \
	    to='$(DESTDIR)$(SYSCONFDIR)/ngx-ai'/$$file; \
	    [ -f "$$to" ] || install -m 644 conf/$$file "$$to"; \
	done
	[ -d '$(DESTDIR)$(SYSCONFDIR)/ngx-ai/secrets' ] || \
	    install -d -m 750 '$(DESTDIR)$(SYSCONFDIR)/ngx-ai/secrets'
	install -d '$(DESTDIR)$(PREFIX)/share/ngx-ai/migrations'
	install -m 644 migrations/*.sql \
	    '$(DESTDIR)$(PREFIX)/share/ngx-ai/migrations/'
	if [ -f docs/aictl.1 ]; then \
	    install -d '$(DESTDIR)$(PREFIX)/share/man/man1'; \
	    install -m 644 docs/aictl.1 '$(DESTDIR)$(PREFIX)/share/man/man1/'; \
	fi
	install -d '$(DESTDIR)$(PREFIX)/lib/sysusers.d'
	install -m 644 conf/ngx-ai.sysusers \
	    '$(DESTDIR)$(PREFIX)/lib/sysusers.d/ngx-ai.conf'
	install -d '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d'
	sed 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' conf/ngx-ai.tmpfiles \
	    > '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/ngx-ai.conf'
	for unit in conf/*.service; do \
	    sed -e 's|@PREFIX@|$(PREFIX)|g' \
	        -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' "$$unit" \
	        > "$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}"; \
	done

clean:
	rm -rf build
