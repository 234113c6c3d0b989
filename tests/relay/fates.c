// fates PROGRAM ARGUMENT...: runs a program and says of the signal that ends it what the kernel tells a debugger at
// that moment: number, code, address or sender, the place in the program, and how many registers have 0x5a5a.
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __aarch64__
typedef struct user_regs_struct registers;
#define PC(r) (r)->pc
#elif defined __x86_64__
typedef struct user_regs_struct registers;
#define PC(r) (r)->rip
#elif defined __i386__
typedef struct user_regs_struct registers;
#define PC(r) (r)->eip
#endif

struct moment {
    siginfo_t info;
    registers saved;
    uintptr_t place;
};

// Distance of the pc from the first address of the program; 0 in a library.
static uintptr_t place(int pid, const char *program, uintptr_t pc) {
    char name[64], line[4096];
    unsigned long start, end, first = 0;
    uintptr_t found = 0;
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    FILE *maps = fopen(name, "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strrchr(line, '/');
        if (!path || strcspn(path + 1, "\n") != strlen(program) || strncmp(path + 1, program, strlen(program)))
            continue;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2)
            continue;
        if (!first)
            first = start;
        if (pc >= start && pc < end)
            found = pc - first;
    }
    if (maps)
        fclose(maps);
    return found;
}

static void say(int signal, int child, struct moment *last) {
    siginfo_t *info = &last->info;
    int kept = 0;
    uintptr_t words[sizeof last->saved / sizeof(uintptr_t)];
    memcpy(words, &last->saved, sizeof last->saved);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        kept += words[i] == 0x5a5a;
    printf("ended by %d: signal %d, code %d, ", signal, info->si_signo, info->si_code);
    if (info->si_code > 0 && info->si_signo != SIGTRAP && info->si_code != SI_KERNEL) {
        int is_here = (uintptr_t)info->si_addr == (uintptr_t)PC(&last->saved);
        if (is_here)
            printf("address as the pc, ");
        else if ((uintptr_t)info->si_addr < 0x10000)
            printf("address %#lx, ", (unsigned long)(uintptr_t)info->si_addr);
        else
            printf("an address, ");
    } else if (info->si_code <= 0) {
        printf("from %s, ", info->si_pid == child ? "itself" : "another");
    }
    printf("at %#lx, %d registers kept\n", (unsigned long)last->place, kept);
}

int main(int count, char **arguments) {
    if (count < 2)
        return 2;
    int child = fork();
    if (child == 0) {
        personality(ADDR_NO_RANDOMIZE);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(arguments[1], arguments + 1);
        _exit(127);
    }
    const char *name = strrchr(arguments[1], '/');
    name = name ? name + 1 : arguments[1];
    struct moment last;
    memset(&last, 0, sizeof last);
    int status, pid, started = 0;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSIGNALED(status) && pid == child) {
            say(WTERMSIG(status), child, &last);
            return 0;
        }
        if (WIFEXITED(status) && pid == child) {
            printf("ended with status %d\n", WEXITSTATUS(status));
            return 0;
        }
        if (!WIFSTOPPED(status))
            continue;
        int signal = WSTOPSIG(status);
        siginfo_t info;
        if (!started) {
            // The exec.
            ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
            started = 1;
            signal = 0;
        } else if (status >> 16 || (signal == SIGSTOP && pid != child)) {
            signal = 0;
        } else if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0) {
            struct iovec room = { &last.saved, sizeof last.saved };
            ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &room);
            last.info = info;
            last.place = place(child, name, PC(&last.saved));
        }
        ptrace(PTRACE_CONT, pid, 0, signal);
    }
    return 1;
}
