# The front door. Everything here is a few cargo commands; `make help` says what there is.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)

bindir = $(DESTDIR)$(PREFIX)/bin
sbindir = $(DESTDIR)$(PREFIX)/sbin
libexecdir = $(DESTDIR)$(PREFIX)/libexec/icecc
mandir = $(DESTDIR)$(PREFIX)/share/man
# systemd looks below /usr and /usr/local.
systemddir = $(DESTDIR)$(PREFIX)/lib/systemd
sysusersdir = $(DESTDIR)$(PREFIX)/lib/sysusers.d
docdir = $(DESTDIR)$(PREFIX)/share/doc/gelato

HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# The wrapper starts once a compile, so it is linked statically: against musl where Rust has it
# installed, else against glibc. See "Start-up" in ARCHITECTURE.md.
MUSL := $(subst -gnu,-musl,$(HOST))
WRAPPER_TARGET := $(if $(wildcard $(shell rustc --print sysroot)/lib/rustlib/$(MUSL)/lib),$(MUSL),$(HOST))

UNITS = iceccd.service iceccd.socket icecc-scheduler.service
USER_UNITS = iceccd.service iceccd.socket

MASQUERADE = gcc g++ cc c++ clang clang++

.PHONY: help all dist demo test lint bench install uninstall clean fuzz web page web-test screenshots
.DEFAULT_GOAL := all

help:
	@echo 'make                   build everything, optimised'
	@echo 'make demo              compile a small project on a cluster of this machine alone'
	@echo 'make test              all tests (installs what they need if it may)'
	@echo 'make lint              formatting, clippy, dependency directions'
	@echo 'make web               the dashboard, from web/ (needs npm; make does it by itself where npm is)'
	@echo 'make web-test          tests of the dashboard in headless Chromium'
	@echo 'make screenshots       pictures of each page of the dashboard into docs/screenshots, panes of gelato top into crates/monitor/tests/golden'
	@echo 'make bench             figures beside the distribution'"'"'s Icecream'
	@echo 'make install PREFIX=…  install below PREFIX (default $(PREFIX)); DESTDIR is respected'
	@echo 'make uninstall         remove what install made'

all: dist

dist: page
	$(CARGO) build --profile dist -p gelato
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --profile dist -p gelato-wrapper --bin icecc --target $(WRAPPER_TARGET)

# The page becomes a part of the binary. Without npm, or without its packages, gelato is built all the same; its monitor then says how to
# get the page.
page:
	@if ! command -v npm >/dev/null; then echo 'make: no npm here, so the dashboard is left out'; \
	else $(MAKE) --no-print-directory web || echo 'make: the dashboard could not be built and is left out'; fi

web: web/dist/index.html

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	touch $@

web/dist/index.html: web/node_modules/.package-lock.json web/index.html web/vite.config.ts web/tsconfig.json $(shell find web/src web/public -type f 2>/dev/null)
	cd web && npm run --silent build
	touch crates/monitor/build.rs

web-test: web
	$(CARGO) build --workspace --bin gelato
	cd web && GELATO_BIN=$(abspath $(TARGET_DIR))/debug/gelato npm --silent test

screenshots: web
	$(CARGO) build --workspace --bin gelato
	cd web && GELATO_BIN=$(abspath $(TARGET_DIR))/debug/gelato node tests/screenshots.mjs ../docs/screenshots
	GELATO_WRITE_GOLDEN=1 $(CARGO) test --workspace --lib golden

demo:
	$(CARGO) build --release -p gelato -p gelato-wrapper -p gelato-lab --bins
	$(TARGET_DIR)/release/gelato-demo

test:
	scripts/test-setup
	$(MAKE) --no-print-directory page
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace --no-fail-fast
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web-test; else echo 'make: no npm here, so the dashboard is not tested'; fi

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	scripts/check-dependencies

# Measures what would be installed, beside the distribution's Icecream; wants root and a quiet machine.
bench:
	$(MAKE) install DESTDIR= PREFIX=$(abspath $(TARGET_DIR))/bench-prefix
	$(CARGO) build --release -p gelato-lab --bins
	GELATO_PREFIX=$(abspath $(TARGET_DIR))/bench-prefix $(TARGET_DIR)/release/gelato-lab-bench
	$(CARGO) bench -p gelato-scheduler --bench load
	$(CARGO) bench -p gelato-scheduler-core
	$(CARGO) bench -p gelato-monitor --bench picture
	$(CARGO) bench -p gelato-wrapper --bench records
	GELATO_PREFIX=$(abspath $(TARGET_DIR))/bench-prefix $(TARGET_DIR)/release/gelato-lab-monitor
	GELATO_MUTATED_FRAMES=1000000 $(CARGO) test --release -p gelato-scheduler --test mutated

install: dist
	install -d $(bindir) $(sbindir) $(libexecdir)/bin $(docdir)
	install -m 755 $(TARGET_DIR)/dist/gelato $(bindir)/gelato
	install -m 755 $(TARGET_DIR)/$(WRAPPER_TARGET)/dist/icecc $(bindir)/icecc
	ln -sf icecc $(bindir)/icerun
	ln -sf gelato $(bindir)/icecc-create-env
	ln -sf gelato $(bindir)/icecc-test-env
	ln -sf ../bin/gelato $(sbindir)/iceccd
	ln -sf ../bin/gelato $(sbindir)/icecc-scheduler
	for name in $(MASQUERADE); do ln -sf ../../../bin/icecc $(libexecdir)/bin/$$name; done
	install -d $(mandir)/man1 $(mandir)/man5 $(mandir)/man8
	install -m 644 man/*.1 $(mandir)/man1/
	install -m 644 man/*.5 $(mandir)/man5/
	install -m 644 man/*.8 $(mandir)/man8/
	install -d $(systemddir)/system $(systemddir)/user $(sysusersdir)
	for unit in $(UNITS); do sed 's|@sbindir@|$(PREFIX)/sbin|' packaging/systemd/$$unit > $(systemddir)/system/$$unit; done
	for unit in $(USER_UNITS); do sed 's|@sbindir@|$(PREFIX)/sbin|' packaging/systemd/user/$$unit > $(systemddir)/user/$$unit; done
	install -m 644 packaging/systemd/gelato.sysusers $(sysusersdir)/gelato.conf
	install -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE docs/*.md $(docdir)/
	install -d $(docdir)/grafana
	install -m 644 packaging/grafana/* $(docdir)/grafana/

uninstall:
	rm -f $(bindir)/gelato $(bindir)/icecc $(bindir)/icerun $(bindir)/icecc-create-env $(bindir)/icecc-test-env
	rm -f $(sbindir)/iceccd $(sbindir)/icecc-scheduler
	for unit in $(UNITS); do rm -f $(systemddir)/system/$$unit; done
	for unit in $(USER_UNITS); do rm -f $(systemddir)/user/$$unit; done
	rm -f $(sysusersdir)/gelato.conf
	rm -rf $(libexecdir) $(docdir)
	for page in man/*.1; do rm -f $(mandir)/man1/$${page#man/}; done
	for page in man/*.5; do rm -f $(mandir)/man5/$${page#man/}; done
	for page in man/*.8; do rm -f $(mandir)/man8/$${page#man/}; done

clean:
	$(CARGO) clean
