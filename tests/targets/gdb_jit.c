// Code that is registered by GDB's JIT interface: an object file is loaded by hand, as a JIT compiler
// does it. No frame pointers, so its unwind information is needed.
// build(object): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o $OUT.o && cc -O2 -g $SRC -o $OUT
// build(linked): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -fcf-protection=none -DPIECE -nostdlib -static -Wl,--build-id=none -Wl,-Ttext-segment=0x510000000000 -Wl,-e,0 -mcmodel=large $SRC -o $OUT.o && cc -O2 -g $SRC -o $OUT
// build(stale): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o $OUT.o && cc -O2 -g -DSTALE $SRC -o $OUT
// build(churn): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o $OUT.o && cc -O2 -g -DCHURN -pthread $SRC -o $OUT
// build(claims): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o $OUT.o && cc -O2 -g -DCLAIMS $SRC -o $OUT
// build(unloaded): cc -O2 -g -fomit-frame-pointer -fno-stack-protector -DPIECE -c $SRC -o $OUT.o && cc -O2 -g -DUNLOADED $SRC -o $OUT
// no-gdb(unloaded): it does not relocate unwind information that has no place, and takes stack words for callers
// spins(churn):
// stack: stay < called_back < piece_inner < piece_outer < run < main
// how: cfi
// end: root
#ifdef PIECE

static __attribute__((noinline)) int piece_inner(int (*function)(void), volatile char *space) {
    volatile char more[3000];
    more[17] = space[3];
    return function() + more[17];
}

__attribute__((noinline)) int piece_outer(int (*function)(void)) {
    volatile char space[1000];
    space[3] = 1;
    return piece_inner(function, space) + space[3];
}

#else

#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOACTION, REGISTER, UNREGISTER };

struct entry {
    struct entry *next, *prev;
    const char *object;
    uint64_t size;
};

struct {
    uint32_t version, action;
    struct entry *relevant, *first;
} __jit_debug_descriptor = {1, NOACTION, NULL, NULL};

__attribute__((noinline)) void __jit_debug_register_code(void) {
    __asm__ volatile("" ::: "memory");
}

static struct entry *enter(const char *object, uint64_t size) {
    struct entry *entry = calloc(1, sizeof *entry);
    entry->object = object;
    entry->size = size;
    entry->next = __jit_debug_descriptor.first;
    if (entry->next) entry->next->prev = entry;
    __jit_debug_descriptor.first = entry;
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_descriptor.action = REGISTER;
    __jit_debug_register_code();
    return entry;
}

static void leave(struct entry *entry) {
    if (entry->prev) entry->prev->next = entry->next;
    else __jit_debug_descriptor.first = entry->next;
    if (entry->next) entry->next->prev = entry->prev;
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_descriptor.action = UNREGISTER;
    __jit_debug_register_code();
}

static __attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) int called_back(void) {
    return stay() + 1;
}

static __attribute__((noinline)) int run(int (*generated)(int (*)(void))) {
    return generated(called_back) + 1;
}

static char *object;
static uint64_t size;

static void read_object(void) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 3);
    strcpy(path + length, ".o");
    FILE *file = fopen(path, "r");
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    object = malloc(size);
    if (fread(object, 1, size, file) != size) exit(1);
}

// Puts code and unwind information next to each other, and their places into the section headers.
static char *load_sections(void) {
    Elf64_Ehdr *header = (void *)object;
    Elf64_Shdr *sections = (void *)(object + header->e_shoff);
    const char *names = object + sections[header->e_shstrndx].sh_offset;
    char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *place = page, *code = NULL;
    for (int i = 0; i < header->e_shnum; i++) {
        const char *name = names + sections[i].sh_name;
        if (strcmp(name, ".text") && strcmp(name, ".eh_frame")) continue;
#ifdef UNLOADED
        if (strcmp(name, ".text")) continue;
#endif
        memcpy(place, object + sections[i].sh_offset, sections[i].sh_size);
        sections[i].sh_addr = (uintptr_t)place;
        if (!strcmp(name, ".text")) code = place;
        place += (sections[i].sh_size + 63) & ~63;
    }
    return code;
}

static char *load_segments(void) {
    Elf64_Ehdr *header = (void *)object;
    Elf64_Phdr *segments = (void *)(object + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD) continue;
        uintptr_t start = segments[i].p_vaddr & ~4095ul;
        size_t length = segments[i].p_vaddr + segments[i].p_memsz - start;
        mmap((void *)start, length, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        memcpy((void *)segments[i].p_vaddr, object + segments[i].p_offset, segments[i].p_filesz);
    }
    return NULL;
}

static void *symbol(char *base, const char *wanted) {
    Elf64_Ehdr *header = (void *)object;
    Elf64_Shdr *sections = (void *)(object + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        Elf64_Sym *symbols = (void *)(object + sections[i].sh_offset);
        const char *names = object + sections[sections[i].sh_link].sh_offset;
        for (size_t j = 0; j < sections[i].sh_size / sizeof *symbols; j++)
            if (!strcmp(names + symbols[j].st_name, wanted)) return base + symbols[j].st_value;
    }
    exit(2);
}

#ifdef CHURN
// Registers copies of the object, as many as there is room for, and takes them back in another order.
static void *churn(void *argument) {
    struct entry *entries[100];
    (void)argument;
    for (unsigned round = 0;; round++) {
        for (int i = 0; i < 100; i++) entries[i] = enter(memcpy(malloc(size), object, size), size);
        for (int i = 0; i < 100; i++) {
            struct entry *entry = entries[(i * 7 + round) % 100];
            leave(entry);
            free((void *)entry->object);
            free(entry);
        }
    }
}
#endif

int main(void) {
    read_object();
    Elf64_Ehdr *header = (void *)object;
    char *base = header->e_type == ET_REL ? load_sections() : load_segments();
    enter(object, size);
#ifdef STALE
    // Others that are of no use: too short, freed, somewhere else, or no object at all.
    enter(object, 10);
    char *freed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct entry *gone = enter(object, size);
    gone->object = freed;
    munmap(freed, 4096);
    enter((char *)&main, 4096);
    leave(enter(object, size));
#endif
#ifdef CLAIMS
    // Objects that claim to be about other code: the program's, the C library's, and all there is.
    const uintptr_t claims[] = {(uintptr_t)&stay & ~63, (uintptr_t)&pause & ~63, 4096};
    for (int i = 0; i < 3; i++) {
        char *copy = memcpy(malloc(size), object, size);
        Elf64_Shdr *section = (void *)(copy + header->e_shoff);
        for (int j = 0; j < header->e_shnum; j++, section++) {
            if (!(section->sh_flags & SHF_EXECINSTR)) continue;
            section->sh_addr = claims[i];
            section->sh_size = i < 2 ? 4096 : 0x7ffffffff000;
        }
        enter(copy, size);
    }
#endif
#ifdef CHURN
    pthread_t thread;
    pthread_create(&thread, NULL, churn, NULL);
#endif
    return run((int (*)(int (*)(void)))symbol(base, "piece_outer")) + 1;
}
#endif
