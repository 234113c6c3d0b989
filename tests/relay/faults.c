// Faults of all kinds, and signals that only look like them. With "filter", a thread that queues a signal is
// killed alone; a second thread that cannot be asked is there all the time.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// What the processors have in common by other names: an instruction that is none, a breakpoint, and registers that a
// fault must leave as they are.
#if defined __aarch64__
#define NO_INSTRUCTION ".inst 0\n"
#define BREAKPOINT "brk #0\n"
#define KEPT "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "memory"
#define SET "mov x19, #0x5a5a\n mov x20, x19\n mov x21, x19\n mov x22, x19\n mov x23, x19\n mov x24, x19\n" \
            "mov x25, x19\n mov x26, x19\n mov x27, x19\n mov x28, x19\n"
#define WRITE "mov x0, #0x10\n str w0, [x0]\n"
#else
#define NO_INSTRUCTION "ud2\n"
#define BREAKPOINT "int3\n"
#if defined __x86_64__
#define KEPT "rbx", "r12", "r13", "r14", "r15", "rax", "memory"
#define SET "mov $0x5a5a, %%rbx\n mov %%rbx, %%r12\n mov %%rbx, %%r13\n mov %%rbx, %%r14\n mov %%rbx, %%r15\n"
#define WRITE "mov $0x10, %%eax\n mov %%eax, (%%rax)\n"
#define GENERAL "movabs $0x8000000000000000, %%rax\n mov %%eax, (%%rax)\n"
#else
#define KEPT "esi", "edi", "eax", "memory"
#define SET "mov $0x5a5a, %%esi\n mov %%esi, %%edi\n"
#define WRITE "mov $0x10, %%eax\n mov %%eax, (%%eax)\n"
#define GENERAL "int $0x42\n"
#endif
#endif
#define FAULT(how) __asm__ volatile(SET how ::: KEPT)

static void filter(int number, unsigned answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        _exit(9);
}

static void *sleeper(void *ready) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    *(volatile int *)ready = 1;
    for (;;)
        sleep(1000);
}

int main(int count, char **arguments) {
    const char *how = count > 1 ? arguments[1] : "";
    volatile int zero = 0, ready = 0;
    (void)zero;
    pthread_t thread;
    if (strcmp(how, "alone")) {
        pthread_create(&thread, NULL, sleeper, (void *)&ready);
        while (!ready)
            usleep(1000);
    }
    if (count > 2)
        filter(SYS_rt_tgsigqueueinfo, SECCOMP_RET_KILL_THREAD);
    puts("ready");
    fflush(stdout);
    if (!strcmp(how, "segv") || !strcmp(how, "alone"))
        FAULT(WRITE);
#ifdef GENERAL
    if (!strcmp(how, "general"))
        FAULT(GENERAL);
    // Elsewhere the result is a number.
    if (!strcmp(how, "fpe"))
        printf("%d\n", 100 / zero);
#endif
#ifdef __aarch64__
    if (!strcmp(how, "pc"))
        FAULT("mov x0, #0x1002\n br x0\n");
    if (!strcmp(how, "sp"))
        FAULT("mov x0, sp\n add x0, x0, #1\n mov sp, x0\n ldr x0, [sp]\n");
    // The end of the address space is the kernel's.
    if (!strcmp(how, "kernel"))
        FAULT("mov x0, #-8\n str w0, [x0]\n");
#endif
    if (!strcmp(how, "bus")) {
        char name[] = "/tmp/threaddump-bus-XXXXXX";
        int fd = mkstemp(name);
        unlink(name);
        *(volatile char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) = 1;
    }
    if (!strcmp(how, "ill"))
        FAULT(NO_INSTRUCTION);
    if (!strcmp(how, "trap"))
        FAULT(BREAKPOINT);
    if (!strcmp(how, "sys")) {
        filter(SYS_getppid, SECCOMP_RET_TRAP);
        getppid();
    }
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "raise"))
        raise(SIGBUS);
    if (!strcmp(how, "kill"))
        kill(getpid(), SIGSEGV);
    if (!strcmp(how, "frame")) {
        // No room for the frame of a signal: the kernel forces a fault that no instruction has made.
        signal(SIGUSR1, (void (*)(int))main);
        kill(getpid(), 0);
#if defined __x86_64__
        __asm__ volatile("mov $0x1000, %%rsp\n mov $39, %%eax\n syscall\n mov %%eax, %%edi\n mov $10, %%esi\n"
                         "mov $62, %%eax\n syscall\n 1: jmp 1b" ::: "memory");
#elif defined __i386__
        __asm__ volatile("mov $0x1000, %%esp\n mov $20, %%eax\n int $0x80\n mov %%eax, %%ebx\n mov $10, %%ecx\n"
                         "mov $37, %%eax\n int $0x80\n 1: jmp 1b" ::: "memory");
#elif defined __aarch64__
        __asm__ volatile("mov x0, #0x1000\n mov sp, x0\n mov x8, #172\n svc #0\n mov x1, #10\n mov x8, #129\n"
                         "svc #0\n 1: b 1b" ::: "memory");
#endif
    }
    puts("went on");
    fflush(stdout);
    return 0;
}
