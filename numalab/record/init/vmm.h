/* A small VMM on /dev/kvm. */
#ifndef VMM_H
#define VMM_H

#include "program.h"

struct vm;
struct vcpu;

void vmm_prepare(void);
struct vm *vmm_create(const char *name, char *memory, u64 bytes);
int vmm_fd(const struct vm *vm);
struct vcpu *vmm_vcpu(struct vm *vm);
u64 vmm_touch(struct vcpu *vcpu, struct access *a, u64 n);

#endif
