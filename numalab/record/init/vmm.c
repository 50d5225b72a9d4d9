/*
 * A small VMM on /dev/kvm: a guest whose memory is one mapping of the workload.
 *
 * Each vCPU belongs to the thread that makes it. It runs in flat 32-bit protected mode
 * without paging: the guest's first page holds the loops below, its memory begins at
 * MEMORY_AT. A loop touches one byte in each of ecx pages and halts; KVM hands the halt
 * to us, because the guest has no interrupt controller. The loops are a page of this
 * program, read-only for the guest too: NUMA balancing leaves read-only files alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm.h"

#define MEMORY_AT 0x200000UL /* 2 MiB: a huge page of the host is one of the guest */
#define KVM_MINOR 232
#define REMEDY "put irqbypass.ko, kvm.ko and kvm-amd.ko of this kernel into modules/ beside it"

struct vm {
	const char *name;
	int fd, vcpus;
	size_t run_bytes;
};

struct vcpu {
	const struct vm *vm;
	int fd;
	struct kvm_run *run;
	struct kvm_regs regs;
};

/*
 * walk: esi = next byte, edi = end, ebx = begin. rand: ebp = state of the generator
 * (Numerical Recipes' LCG), edi = pages of the range, ebx = begin. ecx: touches left.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    ".macro loops kind touch:vararg\n"
    "walk_\\kind:\n"
    "	\\touch\n"
    "	addl $4096, %esi\n"
    "	cmpl %edi, %esi\n"
    "	jb 1f\n"
    "	movl %ebx, %esi\n"
    "1:	decl %ecx\n"
    "	jnz walk_\\kind\n"
    "	hlt\n"
    "rand_\\kind:\n"
    "	imull $1664525, %ebp, %ebp\n"
    "	addl $1013904223, %ebp\n"
    "	movl %ebp, %eax\n"
    "	mull %edi\n"
    "	shll $12, %edx\n"
    "	leal (%ebx,%edx), %esi\n"
    "	\\touch\n"
    "	decl %ecx\n"
    "	jnz rand_\\kind\n"
    "	hlt\n"
    ".endm\n"
    ".balign 4096\n"
    "guest_code:\n"
    "loops write movb $1, (%esi)\n"
    "loops read movb (%esi), %al\n"
    ".balign 4096\n"
    ".code64\n"
    ".popsection\n");
extern const char guest_code[];
extern const char walk_write[], walk_read[], rand_write[], rand_read[];

static __thread struct kvm_run *running; /* of this thread's vCPU */

static int control(const char *name, int fd, unsigned long request, const char *what, void *value)
{
	int result = ioctl(fd, request, value);

	if (result < 0)
		die("vma %s: %s: %s", name, what, strerror(errno));
	return result;
}

static void load_module(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return; /* built into the kernel, or missing: /dev/kvm tells */
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		die("%s.ko cannot be loaded: %s; " REMEDY, name, strerror(errno));
	close(fd);
}

/*
 * A process that owns a VM and sleeps. KVM patches the kernel's code for the first vCPU and
 * after the last, and the emulation of a busy machine does not always survive that: with
 * this one there is no first and no last. Nothing of it is ever notified.
 */
static void keep_a_vm(void)
{
	int ready[2], fd, vm;
	char byte = 0;

	if (pipe(ready))
		die("pipe: %s", strerror(errno));
	if (!fork()) {
		fd = open("/dev/kvm", O_RDWR);
		vm = control("(none)", fd, KVM_CREATE_VM, "KVM_CREATE_VM", 0);
		control("(none)", vm, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", 0);
		if (write(ready[1], &byte, 1) == 1)
			for (;;)
				pause();
	}
	if (read(ready[0], &byte, 1) != 1)
		die("the first VM cannot be made");
	close(ready[0]);
	close(ready[1]);
}

/* Bring /dev/kvm into being. */
void vmm_prepare(void)
{
	static int done;
	int fd;

	if (done)
		return;
	load_module("irqbypass");
	load_module("kvm");
	load_module("kvm-amd");
	mknod("/dev/kvm", S_IFCHR | 0600, makedev(10, KVM_MINOR));
	fd = open("/dev/kvm", O_RDWR);
	if (fd < 0)
		die("the kernel has no KVM (%s): " REMEDY, strerror(errno));
	close(fd);
	keep_a_vm();
	done = 1;
}

static void on_kick(int number)
{
	(void)number;
	if (running)
		running->immediate_exit = 1;
}

/* A VM of this process; SIGUSR1 to a thread ends the run of its vCPU for good. */
struct vm *vmm_create(const char *name, char *memory, u64 bytes)
{
	struct kvm_userspace_memory_region code = {
		.slot = 0, .guest_phys_addr = 0, .memory_size = PAGE,
		.userspace_addr = (u64)guest_code, .flags = KVM_MEM_READONLY,
	};
	struct kvm_userspace_memory_region ram = {
		.slot = 1, .guest_phys_addr = MEMORY_AT, .memory_size = bytes,
		.userspace_addr = (u64)memory,
	};
	struct sigaction action = { .sa_handler = on_kick };
	struct vm *vm = calloc(1, sizeof(*vm));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		die("vma %s: /dev/kvm: %s", name, strerror(errno));
	vm->name = name;
	vm->fd = control(name, kvm, KVM_CREATE_VM, "KVM_CREATE_VM", 0);
	vm->run_bytes = control(name, kvm, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0);
	control(name, vm->fd, KVM_SET_USER_MEMORY_REGION, "memory slot of the code", &code);
	control(name, vm->fd, KVM_SET_USER_MEMORY_REGION, "memory slot", &ram);
	close(kvm);
	sigaction(SIGUSR1, &action, NULL);
	return vm;
}

int vmm_fd(const struct vm *vm)
{
	return vm->fd;
}

/* A vCPU of the calling thread. */
struct vcpu *vmm_vcpu(struct vm *vm)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	long number = __atomic_fetch_add(&vm->vcpus, 1, __ATOMIC_RELAXED);
	static __thread struct vcpu own; /* no malloc: it would map an arena for the thread */
	struct vcpu *c = &own;
	struct kvm_sregs sregs;

	c->vm = vm;
	c->fd = control(vm->name, vm->fd, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", (void *)number);
	c->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		die("vma %s: mmap of a vCPU: %s", vm->name, strerror(errno));
	control(vm->name, c->fd, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 |= 1; /* protected mode */
	control(vm->name, c->fd, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs);
	c->regs.rflags = 2;
	c->regs.rbp = 2463534242u + number;
	running = c->run;
	return c;
}

/* Touch n pages of an access, as touches.c does for a task; return how many were touched. */
u64 vmm_touch(struct vcpu *c, struct access *a, u64 n)
{
	const char *const loops[2][2] = { { walk_read, walk_write }, { rand_read, rand_write } };
	const char *loop = loops[a->pattern == RAND][!!a->write];
	u64 begin = MEMORY_AT + a->lo * PAGE, span = a->hi - a->lo;

	c->regs.rip = loop - guest_code;
	c->regs.rbx = begin;
	c->regs.rcx = n;
	c->regs.rsi = begin + a->position * PAGE;
	c->regs.rdi = a->pattern == RAND ? span : begin + span * PAGE;
	control(c->vm->name, c->fd, KVM_SET_REGS, "KVM_SET_REGS", &c->regs);
	do {
		if (ioctl(c->fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				die("vma %s: KVM_RUN: %s", c->vm->name, strerror(errno));
			continue;
		}
		if (c->run->exit_reason == KVM_EXIT_HLT)
			break;
		if (c->run->exit_reason != KVM_EXIT_INTR)
			die("vma %s: a vCPU left its loop: exit reason %u, error %u; record it again",
			    c->vm->name, c->run->exit_reason, c->run->internal.suberror);
	} while (!c->run->immediate_exit);
	control(c->vm->name, c->fd, KVM_GET_REGS, "KVM_GET_REGS", &c->regs);
	n -= c->regs.rcx & 0xffffffff;
	a->position = (a->position + n) % span;
	return n;
}
