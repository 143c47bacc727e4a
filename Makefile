# make              build/nibble
# make learn        install what is missing, build, open the notebook
# make test         install what tests need, build, run every suite
# make check-kernels  every kernel on every level of this CPU against the definition; BENCH=1 times them
# make check-neon   the same for NEON, under qemu
# make check-contract  one fingerprint on every level, for 1 to 3 threads, and on NEON
# make check-lessons  what every lesson's cells give is what was recorded, on every level
# make check-lessons-neon  the same for one lesson on ARM, under qemu
# make bench        decode, prefill, training and GPTQ of random-weight models beside this machine's limits
# make fuzz         the long campaigns: SECONDS=600 each, or FUZZ=gguf for one
# make lessons      what the lessons' cells give, recorded anew in their files: after a new `story`
# make story        the built-in model again from nothing: hours
# make install      PREFIX=/usr/local
#
# Variables: CC, BUILD (the output folder), SANITIZE=address,undefined, WERROR=1, CROSS=aarch64-linux-gnu-

BUILD    ?= build
PREFIX   ?= /usr/local
CROSS    ?=
ifneq ($(CROSS),)
CC       := $(CROSS)gcc
AR       := $(CROSS)ar
endif
PKG      ?= pkg-config
ARCH     := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)

ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif

# -ffp-contract=off and nothing like -ffast-math: the numeric contract. -fno-math-errno lets sqrt and
# rint become one instruction; their results are the same.
# Split: a kernel's debug information is ten times its code, and every suite links the kernels.
CFLAGS   ?= -O3 -g -gsplit-dwarf
ALL_CFLAGS = -std=c11 -ffp-contract=off -fno-math-errno -Wall -Wextra -Wpedantic -pthread \
             -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -Icore -I. $(if $(WERROR),-Werror) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(CFLAGS)
ALL_LDFLAGS = -pthread -gz $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(CROSS),-static) $(LDFLAGS)

# Libraries. A cross build takes none but PCRE2, if it stands in $(BUILD)/pcre2 (.ci/pcre2-arm): byte-level BPE and line
# editing then say that they are missing.
ifeq ($(CROSS),)
LIBRARIES := $(foreach l,libpcre2-8 libedit md4c jansson,$(shell $(PKG) --exists $(l) 2>/dev/null && echo $(l)))
endif
ifneq ($(filter libpcre2-8,$(LIBRARIES)),)
ALL_CFLAGS += -DNB_HAVE_PCRE2
endif
ifneq ($(filter libedit,$(LIBRARIES)),)
ALL_CFLAGS += -DNB_HAVE_LIBEDIT
endif
ifneq ($(filter md4c,$(LIBRARIES)),)
ALL_CFLAGS += -DNB_HAVE_MD4C
endif
ifneq ($(filter jansson,$(LIBRARIES)),)
ALL_CFLAGS += -DNB_HAVE_JANSSON
endif
ifneq ($(CROSS),)
CROSS_PCRE2 := $(wildcard $(BUILD)/pcre2/usr/lib/*/libpcre2-8.a)
ALL_CFLAGS  += $(if $(CROSS_PCRE2),-DNB_HAVE_PCRE2 -isystem $(BUILD)/pcre2/usr/include)
endif
LIBS := $(CROSS_PCRE2) $(if $(LIBRARIES),$(shell $(PKG) --libs $(LIBRARIES))) -lm

# One CPU level per file, compiled with that level's flags and no others.
LEVEL_avx2    := -mavx2 -mfma -mf16c
LEVEL_avxvnni := -mavx2 -mfma -mf16c -mavxvnni
LEVEL_avx512  := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
LEVEL_amx     := $(LEVEL_avx512) -mamx-tile -mamx-int8
LEVEL_neon    := -march=armv8.2-a+dotprod
ifeq ($(ARCH),x86_64)
OTHER_LEVELS  := %_neon.c
else
OTHER_LEVELS  := %_avx2.c %_avxvnni.c %_avx512.c %_amx.c
endif
level_of       = $(lastword $(subst _, ,$(basename $(notdir $(1)))))
# The unrolled matmuls take minutes to compile with every load instrumented; buffers that end at an unreadable
# page guard them instead (tests/kernels).
plain_matmul   = $(if $(and $(findstring address,$(SANITIZE)),$(filter matmul_%,$(notdir $(1)))),-fno-sanitize=all)
level_flags    = $(if $(LEVEL_$(call level_of,$(1))),$(LEVEL_$(call level_of,$(1))) $(call plain_matmul,$(1)))

# Loops that are to become vectors: no one reads the exception flags that a select would raise too often.
$(BUILD)/core/array/kernels_%.o: LOOPS := -fno-trapping-math

sources        = $(sort $(filter-out $(OTHER_LEVELS),$(wildcard $(1))))
CORE_SRC      := $(call sources,core/*/*.c)
PLOTS_SRC     := $(call sources,plots/*.c)
REPL_SRC      := $(filter-out repl/main.c,$(call sources,repl/*.c repl/*/*.c))
SUPPORT_SRC   := $(call sources,tests/support/*.c)
CHECK_SRC     := $(call sources,tests/kernels/check*.c)
TEST_SRC      := $(sort $(wildcard tests/*/test_*.c))
FUZZ_SRC      := $(sort $(wildcard tests/fuzz/fuzz_*.c))

objects        = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBNIBBLE     := $(BUILD)/libnibble.a
LIBREPL       := $(BUILD)/librepl.a
TESTS         := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
FUZZ_REPLAYS  := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRC))

.PHONY: all learn test tests check-kernels check-neon check-contract check-lessons check-lessons-neon bench bench-build fuzz lessons story install clean
.SECONDARY:
all: $(BUILD)/nibble

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(call level_flags,$<) $(LOOPS) -MMD -MP -c -o $@ $<

$(BUILD)/core/text/pretokenizer.o $(BUILD)/repl/commands/doctor.o: $(CROSS_PCRE2)

$(LIBNIBBLE): $(call objects,$(CORE_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^
$(LIBREPL): $(call objects,$(PLOTS_SRC) $(REPL_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/nibble: $(call objects,repl/main.c) $(LIBREPL) $(LIBNIBBLE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# --- tests ---
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(call objects,$(SUPPORT_SRC)) $(LIBREPL) $(LIBNIBBLE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)
$(BUILD)/check-kernels: $(call objects,$(CHECK_SRC)) $(LIBNIBBLE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(LIBREPL) $(LIBNIBBLE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

tests: $(BUILD)/nibble $(TESTS) $(BUILD)/check-kernels $(FUZZ_REPLAYS)

test:
	@sh .ci/packages test
	@$(MAKE) --no-print-directory tests
	@BUILD=$(BUILD) sh tests/run
	@BUILD=$(BUILD) sh tests/check-story

check-kernels: $(BUILD)/check-kernels
	$(BUILD)/check-kernels $(if $(BENCH),--bench)

NEON = BUILD=$(BUILD)/neon CROSS=aarch64-linux-gnu-
check-neon:
	@sh .ci/packages neon
	@$(MAKE) $(NEON) $(BUILD)/neon/check-kernels
	qemu-aarch64-static -cpu max $(BUILD)/neon/check-kernels

check-contract: $(BUILD)/nibble
	@sh .ci/packages neon
	@$(MAKE) $(NEON) $(BUILD)/neon/nibble
	@BUILD=$(BUILD) sh tests/check-contract

check-lessons: $(BUILD)/nibble
	@BUILD=$(BUILD) sh tests/check-lessons

check-lessons-neon:
	@sh .ci/packages neon
	@sh .ci/pcre2-arm $(BUILD)/neon/pcre2
	@$(MAKE) $(NEON) $(BUILD)/neon/nibble
	@BUILD=$(BUILD) sh tests/check-lessons neon

# --- speed ---
BENCHES := $(patsubst tests/bench/bench_%.c,$(BUILD)/bench-%,$(wildcard tests/bench/bench_*.c))
$(BENCHES): $(BUILD)/bench-%: $(BUILD)/tests/bench/bench_%.o $(LIBREPL) $(LIBNIBBLE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
bench-build: $(BENCHES)
bench: bench-build
	$(BUILD)/bench-models
	$(BUILD)/bench-train
	$(BUILD)/bench-gptq

# --- fuzzing ---
SECONDS ?= 600
FUZZ    ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC))
fuzz:
	@sh .ci/packages fuzz
	+@BUILD=$(BUILD)/fuzz SECONDS=$(SECONDS) sh tests/fuzz/run $(FUZZ)

# --- using it ---
learn:
	@sh .ci/packages learn
	@$(MAKE) --no-print-directory all
	@$(BUILD)/nibble

lessons: $(BUILD)/nibble
	@for lesson in lessons/[0-9]*.md; do $(BUILD)/nibble run --record $$lesson || exit 1; done

story: $(BUILD)/nibble
	@BUILD=$(BUILD) sh lessons/story/make

install: $(BUILD)/nibble
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/nibble
	install -m 755 $(BUILD)/nibble $(DESTDIR)$(PREFIX)/bin/nibble
	cp -R lessons $(DESTDIR)$(PREFIX)/share/nibble/

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
