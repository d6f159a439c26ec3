/* What a hostile "compiler" tries. Linked statically and sent as usr/bin/gcc of a toolchain.
 *
 * `-probe=NAME` says what to try, each `-with=TEXT` is a word for it. Every attempt prints one line to standard error:
 * `ESCAPED …` if it reached what it should not, `blocked …` otherwise; `done` is last. Attempts that succeed do no harm:
 * signals are signal 0, what is opened for writing is not written to. Without `-probe` it is a compiler that works. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define MOST 16
static const char *with[MOST];
static int words;

/* Where a neighbour keeps what others want to read. Not at a random address: linked without position independence. */
static char memory[256];

static void say(const char *verdict, const char *format, va_list list) {
    char text[4096];
    vsnprintf(text, sizeof text, format, list);
    fprintf(stderr, "%s %s\n", verdict, text);
}

static void escaped(const char *format, ...) {
    va_list list;
    va_start(list, format);
    say("ESCAPED", format, list);
    va_end(list);
}

static void blocked(const char *what) { fprintf(stderr, "blocked %s: %s\n", what, strerror(errno)); }

/* For calls that give -1 when refused. */
static long attempt(const char *what, long result) {
    if (result == -1)
        blocked(what);
    else
        escaped("%s", what);
    return result;
}

static const char *word(int n) { return n < words ? with[n] : ""; }
static long number(int n) { return atol(word(n)); }

/* Escaped if the file can be read; its first line goes into the report. */
static int read_at(int folder, const char *path, const char *what) {
    char text[512];
    int file = openat(folder, path, O_RDONLY | O_NONBLOCK);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (size <= 0) {
        if (size == 0)
            errno = ENODATA;
        blocked(what);
    } else {
        text[size] = 0;
        text[strcspn(text, "\n")] = 0;
        escaped("%s: %s", what, text);
    }
    if (file >= 0)
        close(file);
    return size > 0;
}

static void open_for_writing(const char *path) {
    int file = open(path, O_WRONLY | O_NONBLOCK);
    attempt(path, file);
    if (file >= 0)
        close(file);
}

static void create(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    attempt(path, file);
    if (file >= 0) {
        if (write(file, "escaped\n", 8) < 0)
            blocked(path);
        close(file);
    }
}

/* Calls `each` with the name of every folder of /proc that is a process. */
static void each_process(void (*each)(const char *)) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    if (!proc) {
        blocked("/proc");
        return;
    }
    while ((entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && atoi(entry->d_name) != getpid())
            each(entry->d_name);
    closedir(proc);
}

/* Does `file` hold `text`? */
static int holds(const char *path, const char *text) {
    static char all[1 << 20];
    int file = open(path, O_RDONLY | O_NONBLOCK);
    if (file < 0)
        return -1;
    ssize_t size, total = 0;
    while (total < (ssize_t)sizeof all && (size = read(file, all + total, sizeof all - total)) > 0)
        total += size;
    close(file);
    return memmem(all, total, text, strlen(text)) != NULL;
}

/* ---- files ---- */

static void read_absolute(void) { read_at(AT_FDCWD, word(0), "absolute path"); }

static void read_dotdot(void) {
    char path[4096] = "";
    for (int n = 0; n < 40; n++)
        strcat(path, "../");
    strcat(path, word(0) + 1);
    read_at(AT_FDCWD, path, "..");
}

static void read_symlink(void) {
    unlink("link");
    if (symlink(word(0), "link"))
        blocked("symlink");
    read_at(AT_FDCWD, "link", "symbolic link");
    unlink("link");
}

static void read_hardlink(void) {
    unlink("hard");
    if (link(word(0), "hard"))
        blocked("hard link");
    else
        read_at(AT_FDCWD, "hard", "hard link");
    unlink("hard");
}

static void read_handle(void) {
    struct { struct file_handle head; unsigned char bytes[128]; } handle = {.head.handle_bytes = 128};
    int mount;
    /* The handle of a root folder is the same for everybody: what lies above any changed root can be opened by it. */
    if (name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount, 0)) {
        blocked("name_to_handle_at");
        return;
    }
    int here = open("/", O_RDONLY | O_DIRECTORY);
    int folder = open_by_handle_at(here, &handle.head, O_RDONLY);
    attempt("open_by_handle_at", folder);
}

static void through_root(const char *pid) {
    char path[4096];
    static const char *const ways[] = {"root", "cwd"};
    for (int way = 0; way < 2; way++) {
        snprintf(path, sizeof path, "/proc/%s/%s/%s", pid, ways[way], way ? "neighbour" : word(0) + 1);
        if (holds(path, word(1)) > 0)
            escaped("%s", path);
    }
}
static void read_proc_root(void) {
    each_process(through_root);
    errno = EACCES;
    blocked("roots and folders of processes");
}

static void through_descriptors(const char *pid) {
    char path[4096];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
        struct stat status;
        if (!stat(path, &status) && S_ISREG(status.st_mode) && holds(path, word(1)) > 0)
            escaped("%s", path);
    }
}
static void read_proc_fd(void) {
    each_process(through_descriptors);
    errno = EACCES;
    blocked("descriptors of processes");
}

static void through_environ(const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    if (holds(path, word(2)) > 0)
        escaped("%s", path);
}
static void read_proc_environ(void) {
    each_process(through_environ);
    errno = EACCES;
    blocked("environments of processes");
}

/* Words from the third on are folders whose subfolders may hold a neighbour's file. */
static void each_neighbour(void (*through)(const char *path)) {
    for (int n = 2; n < words; n++) {
        DIR *jobs = opendir(word(n));
        struct dirent *entry;
        char path[4096];
        if (!jobs) {
            blocked(word(n));
            continue;
        }
        while ((entry = readdir(jobs))) {
            snprintf(path, sizeof path, "%s/%s/neighbour", word(n), entry->d_name);
            through(path);
        }
        closedir(jobs);
    }
    errno = ENOENT;
    blocked("neighbours' files");
}

static void read_one(const char *path) {
    if (holds(path, word(1)) > 0)
        escaped("%s", path);
}
static void read_neighbour(void) {
    each_neighbour(read_one);
}

static void write_one(const char *path) {
    if (!access(path, F_OK))
        open_for_writing(path);
}
static void write_neighbour(void) {
    each_neighbour(write_one);
}

static void write_host(void) {
    for (int n = 0; n < words; n++)
        create(word(n));
}

/* The toolchain as this program sees it: the folder it was started from. */
static const char *toolchain(void) {
    static char folder[4096];
    snprintf(folder, sizeof folder, "%s", (const char *)getauxval(AT_EXECFN));
    char *end = strrchr(folder, '/');
    if (end)
        *end = 0;
    return folder;
}

static void write_toolchain(void) {
    char path[8192];
    snprintf(path, sizeof path, "%s/planted", toolchain());
    create(path);
    unlink(path);
    attempt("folder in the toolchain", mkdir(path, 0777));
    rmdir(path);
    attempt("link in the toolchain", symlink("/", path));
    unlink(path);
    snprintf(path, sizeof path, "%s/gcc", toolchain());
    attempt("rename of the compiler", rename(path, path));
    attempt("truncation of the compiler", truncate(path, 1 << 30) ? (errno == ETXTBSY ? 0 : -1) : 0);
}

/* Modes and times: at the weak levels the toolchain belongs to the user the job runs as. */
static void change_toolchain(void) {
    char path[8192];
    struct stat status;
    if (stat(toolchain(), &status))
        blocked(toolchain());
    chmod(toolchain(), 0777);
    struct stat after;
    if (!stat(toolchain(), &after) && after.st_mode != status.st_mode)
        escaped("mode of the toolchain");
    else
        blocked("mode of the toolchain");
    chmod(toolchain(), status.st_mode & 07777);
    snprintf(path, sizeof path, "%s/gcc", toolchain());
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    utimensat(AT_FDCWD, path, old, 0);
    if (!stat(path, &after) && after.st_mtim.tv_sec == 1)
        escaped("times of the compiler");
    else
        blocked("times of the compiler");
    setxattr(path, "user.gelato", "x", 1, 0);
    char value;
    if (getxattr(path, "user.gelato", &value, 1) > 0) {
        escaped("attributes of the compiler");
        removexattr(path, "user.gelato");
    } else
        blocked("attributes of the compiler");
}

static void make_devices(void) {
    unlink("disk");
    attempt("block device", mknod("disk", S_IFBLK | 0666, makedev(7, 0)));
    unlink("disk");
    attempt("character device", mknod("mem", S_IFCHR | 0666, makedev(1, 1)));
    unlink("mem");
}

static void open_devices(void) {
    static const char *const paths[] = {"/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/loop-control", "/dev/sda", "/dev/vda",
                                        "/dev/userfaultfd", "/dev/ptmx", "/dev/tty", "/dev/vsock", "/dev/net/tun", "/dev/shm"};
    for (size_t n = 0; n < sizeof paths / sizeof *paths; n++) {
        int file = open(paths[n], O_RDONLY | O_NONBLOCK);
        attempt(paths[n], file);
        if (file >= 0)
            close(file);
    }
}

/* ---- other processes; words: token, process ids ---- */

static void signals(void) {
    /* Not to all at once: the kernel calls that a success whomever it reaches. */
    for (int n = 3; n < words; n++)
        attempt("signal to a process", kill(number(n), 0));
}

static void pidfds(void) {
    for (int n = 3; n < words; n++) {
        int fd = syscall(SYS_pidfd_open, number(n), 0);
        if (fd < 0) {
            blocked("pidfd_open");
            continue;
        }
        attempt("signal to a pidfd", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
        attempt("pidfd_getfd", syscall(SYS_pidfd_getfd, fd, 0, 0));
    }
}

static void trace(void) {
    for (int n = 3; n < words; n++) {
        if (attempt("ptrace", ptrace(PTRACE_SEIZE, number(n), 0, 0)) == 0) {
            ptrace(PTRACE_INTERRUPT, number(n), 0, 0);
            waitpid(number(n), NULL, __WALL);
            ptrace(PTRACE_DETACH, number(n), 0, 0);
        }
    }
}

static void foreign_memory(void) {
    char copy[sizeof memory], path[64];
    struct iovec to = {copy, sizeof copy}, from = {memory, sizeof memory};
    for (int n = 3; n < words; n++) {
        attempt("process_vm_readv", process_vm_readv(number(n), &to, 1, &from, 1, 0));
        snprintf(path, sizeof path, "/proc/%ld/mem", number(n));
        int file = open(path, O_RDONLY);
        attempt("/proc/…/mem", file < 0 ? -1 : pread(file, copy, sizeof copy, (off_t)memory));
    }
}

static void change_others(void) {
    for (int n = 3; n < words; n++) {
        pid_t pid = number(n);
        struct rlimit limit;
        attempt("prlimit", prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
        attempt("setpriority", setpriority(PRIO_PROCESS, pid, 19));
        struct sched_param parameters = {0};
        attempt("sched_setscheduler", sched_setscheduler(pid, SCHED_BATCH, &parameters));
        cpu_set_t cpus;
        if (sched_getaffinity(pid, sizeof cpus, &cpus))
            blocked("sched_getaffinity");
        else
            attempt("sched_setaffinity", sched_setaffinity(pid, sizeof cpus, &cpus));
        attempt("ioprio_set", syscall(SYS_ioprio_set, 1, pid, 3 << 13));
    }
}

static void leave_behind(void) {
    for (int n = 0; n < 3; n++) {
        if (fork())
            continue;
        setsid();
        if (fork())
            _exit(0);
        signal(SIGHUP, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        if (n) {
            close(0);
            close(1);
            close(2);
        }
        char mark[128];
        snprintf(mark, sizeof mark, "-with=%s", word(0));
        /* Found by its command line from outside. */
        execl((const char *)getauxval(AT_EXECFN), "leftover", "-probe=linger", mark, NULL);
        _exit(1);
    }
    while (wait(NULL) > 0)
        ;
}

static void linger(void) {
    for (;;)
        pause();
}

/* A neighbour: keeps a secret in memory, in a file and in a descriptor. */
static void hold(void) {
    strncpy(memory, word(1), sizeof memory - 1);
    int file = open("neighbour", O_RDWR | O_CREAT | O_TRUNC, 0666);
    int id = shmget(number(0), 4096, IPC_CREAT | 0600);
    char *shared = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (shared != (char *)-1)
        strcpy(shared, word(1));
    if (file >= 0 && write(file, word(1), strlen(word(1))) > 0)
        linger();
    blocked("neighbour");
}

/* Shared memory stays until somebody removes it. */
static void forget(void) { shmctl(shmget(number(0), 0, 0), IPC_RMID, NULL); }

/* ---- reach ---- */

static void internet(int family, int kind, const struct sockaddr *address, socklen_t size, const char *what) {
    int fd = socket(family, kind | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        blocked(what);
        return;
    }
    int result = connect(fd, address, size);
    /* Refused by the peer or under way: the packet left. */
    if (!result || errno == EINPROGRESS || errno == ECONNREFUSED || errno == EAGAIN) {
        if (!result || errno == EINPROGRESS) {
            if (send(fd, "escaped", 7, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
                usleep(1000);
        }
        escaped("%s", what);
    } else
        blocked(what);
    close(fd);
}

static void tcp_host(void) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(number(0)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    internet(AF_INET, SOCK_STREAM, (void *)&v4, sizeof v4, "TCP over IPv4");
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(number(0)), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    internet(AF_INET6, SOCK_STREAM, (void *)&v6, sizeof v6, "TCP over IPv6");
}

static void udp_host(void) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(number(0)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    internet(AF_INET, SOCK_DGRAM, (void *)&v4, sizeof v4, "UDP");
}

/* An address nobody has: it is enough that a socket can be made to send there. */
static void outside(void) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    attempt("socket to the outside", fd);
    if (fd >= 0 && sendto(fd, "", 0, MSG_DONTWAIT, (void *)&v4, sizeof v4))
        blocked("route to the outside");
}

static void listen_there(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (fd < 0 || bind(fd, (void *)&any, sizeof any))
        blocked("bind");
    else
        attempt("listen", listen(fd, 1));
}

static void local(const char *name, int abstract, const char *what) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + abstract, name, sizeof address.sun_path - 2);
    internet(AF_UNIX, SOCK_STREAM, (void *)&address, offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name), what);
}
static void daemon_socket(void) { local(word(0), 0, "the daemon's socket"); }
static void abstract_socket(void) { local(word(0), 1, "abstract socket"); }

static void odd_sockets(void) {
    attempt("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    attempt("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    attempt("raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    attempt("virtual machine socket", socket(AF_VSOCK, SOCK_STREAM, 0));
    attempt("crypto socket", socket(AF_ALG, SOCK_SEQPACKET, 0));
}

/* The calls of 32-bit programs have numbers of their own. */
static void calls_of_32_bits(void) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(359L), "b"((long)AF_UNIX), "c"((long)SOCK_STREAM), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
    errno = -(int)result;
    attempt("socket of a 32-bit program", (int)result < 0 ? -1 : result);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(26L), "b"((long)PTRACE_SEIZE), "c"(number(3)), "d"(0L), "S"(0L) : "memory", "r8", "r9", "r10", "r11");
    errno = -(int)result;
    attempt("ptrace of a 32-bit program", (int)result < 0 ? -1 : result);
    attempt("socket with an x32 number", syscall(0x40000000 + SYS_socket, AF_UNIX, SOCK_STREAM, 0));
#endif
}

static void shared_memory(void) {
    int id = shmget(number(0), 0, 0);
    if (attempt("System V shared memory", id) >= 0) {
        char *text = shmat(id, NULL, SHM_RDONLY);
        if (text != (char *)-1)
            escaped("%.100s", text);
    }
    attempt("message queue", syscall(SYS_mq_open, "gelato-escape", O_RDWR | O_CREAT, 0600, NULL));
    syscall(SYS_mq_unlink, "gelato-escape");
}

/* ---- kernel ---- */

static void keyring(void) {
    long key = syscall(SYS_add_key, "user", "gelato-escape", "x", 1, -4);
    if (attempt("add_key", key) > 0)
        syscall(SYS_keyctl, 9 /* unlink */, key, -4);
    attempt("keyctl", syscall(SYS_keyctl, 0 /* get id */, -4, 1));
}

static void new_namespaces(void) {
    pid_t child = fork();
    if (!child) {
        if (attempt("new user namespace", unshare(CLONE_NEWUSER | CLONE_NEWNS)) == 0)
            attempt("mount in it", mount("none", "/", "tmpfs", 0, NULL));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    attempt("clone with a user namespace", child);
    if (child > 0)
        waitpid(child, NULL, 0);
    /* struct clone_args: flags first, the signal at the end of it fifth. */
    unsigned long long arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0)
        _exit(0);
    attempt("clone3 with a user namespace", child);
    if (child > 0)
        waitpid(child, NULL, 0);
}

static void mounts(void) {
    mkdir("point", 0777);
    if (attempt("mount", mount("none", "point", "tmpfs", 0, NULL)) == 0)
        umount2("point", MNT_DETACH);
    attempt("remount", mount("none", "/", NULL, MS_REMOUNT | MS_BIND, NULL));
    attempt("umount", umount2("/proc", MNT_EXPIRE) ? (errno == EAGAIN ? 0 : -1) : 0);
    attempt("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    attempt("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* clone */));
}

static void change_root(void) {
    pid_t child = fork();
    if (!child) {
        mkdir("cage", 0777);
        int here = open("/", O_RDONLY | O_DIRECTORY);
        if (attempt("chroot", chroot("cage")) == 0) {
            if (fchdir(here))
                _exit(0);
            for (int n = 0; n < 40; n++)
                if (chdir(".."))
                    break;
            if (!chroot("."))
                read_at(AT_FDCWD, word(0), "beyond the root");
        }
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void become_root(void) {
    attempt("setuid", setresuid(0, 0, 0));
    attempt("setgid", setresgid(0, 0, 0));
    attempt("ambient capabilities", syscall(SYS_prctl, 47, 2, 21, 0, 0));
}

/* Words: programs of root with the bit that gives its rights away. */
static void set_user_id(void) {
    for (int n = 0; n < words; n++) {
        pid_t child = fork();
        if (!child) {
            execl(word(n), "whoami", "-probe=whoami", NULL);
            blocked(word(n));
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}
static void whoami(void) {
    if (geteuid() == 0)
        escaped("set-user-id program runs as root");
    else
        fprintf(stderr, "blocked set-user-id: runs as %d\n", (int)geteuid());
}

static void uring(void) {
    char parameters[256] = "";
    attempt("io_uring", syscall(SYS_io_uring_setup, 1, parameters));
}
static void load_bpf(void) {
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    attempt("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}
static void perf(void) {
    /* A software event of this process in user space: the least that can be asked for. */
    unsigned int attributes[32] = {1, 128, 0};
    attributes[10] = 1 << 5 | 1 << 6;
    attempt("perf_event_open", syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}
static void faults(void) { attempt("userfaultfd", syscall(SYS_userfaultfd, 1)); }
static void modules(void) {
    static const char garbage[256] = "no module";
    long result = syscall(SYS_init_module, garbage, sizeof garbage, "");
    attempt("init_module", result == -1 && errno == ENOEXEC ? 0 : result);
}
static void kernel_log(void) { attempt("kernel log", syscall(SYS_syslog, 10, NULL, 0) < 0 ? -1 : syscall(SYS_syslog, 3, (char[64]){0}, 64)); }
static void reboot_it(void) {
    /* Wrong magic numbers: who may is told so, and nothing happens. */
    long result = syscall(SYS_reboot, 0, 0, 0, NULL);
    attempt("reboot", result == -1 && errno == EINVAL ? 0 : result);
}
static void watch_all(void) { attempt("fanotify", syscall(SYS_fanotify_init, 0, O_RDONLY)); }
static void host_name(void) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    attempt("sethostname", sethostname(name, strlen(name)));
}
static void io_ports(void) {
#ifdef __x86_64__
    attempt("iopl", syscall(SYS_iopl, 3));
#endif
}

static void proc_sys(void) {
    open_for_writing("/proc/sys/kernel/core_pattern");
    open_for_writing("/proc/sys/kernel/hostname");
    open_for_writing("/proc/sys/vm/drop_caches");
    open_for_writing("/proc/sysrq-trigger");
    open_for_writing("/proc/1/oom_score_adj");
}
static void sys(void) {
    static const char *const paths[] = {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/tasks", "/sys/fs/cgroup/unified/cgroup.procs",
                                        "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_helper",
                                        "/sys/module/printk/parameters/time"};
    for (size_t n = 0; n < sizeof paths / sizeof *paths; n++)
        open_for_writing(paths[n]);
    read_at(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", "/sys");
}

static void descriptors(void) {
    for (int fd = 3; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) != -1)
            escaped("descriptor %d", fd);
    errno = EBADF;
    blocked("inherited descriptors");
}
static void environment(void) {
    for (char **at = environ; *at; at++)
        if (strstr(*at, word(2)))
            escaped("%s", *at);
    errno = ENOENT;
    blocked("variables of the daemon");
}

/* ---- too much; `ESCAPED` if all of it was had ---- */

/* Ends with its parent, even if that was faster. */
static void depend_on(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

static void forks(void) {
    pid_t own = getpid();
    int made = 0;
    while (made < 1500) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (!child) {
            depend_on(own);
            linger();
        }
        made++;
    }
    if (made == 1500 && number(0))
        sleep(number(0));
    if (made < 1500)
        blocked("fork");
    else
        escaped("%d processes", made);
}

static void eat_memory(void) {
    size_t step = 16 << 20, most = (size_t)number(0) << 20, had = 0;
    while (had < most) {
        char *more = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED) {
            blocked("memory");
            return;
        }
        for (size_t at = 0; at < step; at += 4096)
            more[at] = 1;
        had += step;
    }
    escaped("%zu MiB of memory", had >> 20);
}

/* The same by several processes, none of which is large. */
static void eat_memory_together(void) {
    pid_t own = getpid();
    int parts = 8, pipes[2], had = 0;
    if (pipe(pipes))
        return;
    for (int n = 0; n < parts; n++) {
        if (fork())
            continue;
        depend_on(own);
        size_t size = ((size_t)number(0) << 20) / parts;
        char *more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            _exit(1);
        for (size_t at = 0; at < size; at += 4096)
            more[at] = 1;
        if (write(pipes[1], "x", 1) == 1)
            linger();
        _exit(1);
    }
    close(pipes[1]);
    char byte;
    /* Those who got theirs hold the pipe open; the end comes when all are there or all others dead. */
    while (had < parts && read(pipes[0], &byte, 1) == 1)
        had++;
    if (had == parts && number(1))
        sleep(number(1));
    if (had == parts)
        escaped("%s MiB of memory in %d processes", word(0), parts);
    else
        blocked("memory together");
}

static void fill_disk(void) {
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    /* Slowly enough to be seen, much more than allowed. */
    for (int n = 0; n < number(0); n++) {
        char name[32];
        snprintf(name, sizeof name, "fill-%d", n);
        int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || write(file, block, sizeof block) < (ssize_t)sizeof block) {
            blocked("disk");
            return;
        }
        close(file);
    }
    if (number(1))
        sleep(number(1));
    escaped("%s MiB of disk", word(0));
}

static void many_files(void) {
    for (int n = 0; n < number(0); n++) {
        char name[32];
        snprintf(name, sizeof name, "%d", n);
        int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) {
            blocked("files");
            return;
        }
        close(file);
    }
    if (number(1))
        sleep(number(1));
    escaped("%s files", word(0));
}

static void large_file(void) {
    signal(SIGXFSZ, SIG_IGN);
    int file = open("large", O_WRONLY | O_CREAT, 0600);
    attempt("file of 5 GiB", ftruncate(file, 5LL << 30));
    unlink("large");
}

static void print_endlessly(void) {
    static char line[65536];
    memset(line, 'x', sizeof line - 1);
    for (long n = 0; n < number(0); n++)
        if (write(1, line, sizeof line) < 0) {
            blocked("output");
            return;
        }
    escaped("%s pieces of output", word(0));
}

static void take_forever(void) {
    time_t end = time(NULL) + number(0);
    while (time(NULL) < end)
        ;
    escaped("%s seconds", word(0));
}

static void be_silent(void) {
    sleep(number(0));
    escaped("%s seconds of silence", word(0));
}

static const struct { const char *name; void (*run)(void); } probes[] = {
    {"read-absolute", read_absolute}, {"read-dotdot", read_dotdot}, {"read-symlink", read_symlink}, {"read-hardlink", read_hardlink},
    {"read-handle", read_handle}, {"proc-root", read_proc_root}, {"proc-fd", read_proc_fd}, {"proc-environ", read_proc_environ},
    {"read-neighbour", read_neighbour}, {"write-neighbour", write_neighbour}, {"write-host", write_host}, {"write-toolchain", write_toolchain}, {"change-toolchain", change_toolchain},
    {"make-devices", make_devices}, {"open-devices", open_devices},
    {"signals", signals}, {"pidfds", pidfds}, {"ptrace", trace}, {"foreign-memory", foreign_memory}, {"change-others", change_others},
    {"leftovers", leave_behind}, {"linger", linger}, {"hold", hold}, {"forget", forget},
    {"tcp-host", tcp_host}, {"udp-host", udp_host}, {"outside", outside}, {"listen", listen_there}, {"daemon-socket", daemon_socket},
    {"abstract-socket", abstract_socket}, {"odd-sockets", odd_sockets}, {"calls-of-32-bits", calls_of_32_bits}, {"shared-memory", shared_memory},
    {"keyring", keyring}, {"new-namespaces", new_namespaces}, {"mounts", mounts}, {"chroot", change_root}, {"become-root", become_root},
    {"set-user-id", set_user_id}, {"whoami", whoami}, {"io-uring", uring}, {"bpf", load_bpf}, {"perf", perf}, {"userfaultfd", faults},
    {"modules", modules}, {"kernel-log", kernel_log}, {"reboot", reboot_it}, {"fanotify", watch_all}, {"host-name", host_name}, {"io-ports", io_ports},
    {"proc-sys", proc_sys}, {"sys", sys}, {"descriptors", descriptors}, {"environment", environment},
    {"forks", forks}, {"memory", eat_memory}, {"memory-together", eat_memory_together}, {"disk", fill_disk}, {"files", many_files},
    {"large-file", large_file}, {"output", print_endlessly}, {"time", take_forever}, {"silence", be_silent},
};

int main(int count, char **arguments) {
    const char *probe = NULL, *output = NULL;
    for (int n = 1; n < count; n++) {
        if (!strncmp(arguments[n], "-probe=", 7))
            probe = arguments[n] + 7;
        else if (!strncmp(arguments[n], "-with=", 6) && words < MOST)
            with[words++] = arguments[n] + 6;
        else if (!strcmp(arguments[n], "-o") && n + 1 < count)
            output = arguments[++n];
    }
    setvbuf(stderr, NULL, _IOLBF, 1 << 16);
    for (size_t n = 0; probe && n < sizeof probes / sizeof *probes; n++)
        if (!strcmp(probe, probes[n].name)) {
            probes[n].run();
            fprintf(stderr, "done\n");
            probe = NULL;
        }
    if (probe) {
        fprintf(stderr, "no probe %s\n", probe);
        return 2;
    }
    FILE *object = output ? fopen(output, "w") : NULL;
    if (object) {
        fputs("object\n", object);
        fclose(object);
    }
    return 0;
}
