// Leaving a thread in the middle, and coming back to it.
//
// Each fiber has a stack of its own.  A switch saves the registers that a function may not destroy on the stack that is
// left, notes where that stack stands, and goes on with the other.  Elsewhere than on x86-64 the C library does it, slower.
#pragma once
#if !defined(__x86_64__) || defined(CCPU_UCONTEXT)
#undef CCPU_UCONTEXT
#define CCPU_UCONTEXT 1
#include <ucontext.h>
#endif

namespace ccpu {

static const size_t STACK = 64 << 10;
static char* stacks;
static int stack_count;
static void (*kernel)(void**);                  // calls the kernel with the arguments that Python gave
static void** kernel_arguments;

#ifdef CCPU_UCONTEXT
static ucontext_t main_context, *contexts;
#else
static void* main_stack;
extern "C" void ccpu_switch(void** save, void* to) __attribute__((visibility("hidden")));
asm(".text\n.type ccpu_switch,@function\nccpu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size ccpu_switch,.-ccpu_switch\n");
#endif

// From the fiber that runs back to the emulator
CCPU_OWN static void leave() {
#ifdef CCPU_UCONTEXT
  swapcontext(&contexts[current], &main_context);
#else
  ccpu_switch(&fibers[current].stack, main_stack);
#endif
}

CCPU_OWN static void first_function() {
  kernel(kernel_arguments);
  fibers[current].state = DONE;
  leave();
  abort();                                      // a fiber that is done is never gone on with
}

CCPU_OWN static void prepare(int i) {
#ifdef CCPU_UCONTEXT
  getcontext(&contexts[i]);
  contexts[i].uc_stack.ss_sp = stacks + i * STACK;
  contexts[i].uc_stack.ss_size = STACK;
  contexts[i].uc_link = nullptr;
  makecontext(&contexts[i], first_function, 0);
#else
  void** top = (void**)(stacks + (i + 1) * STACK);
  *--top = nullptr;                             // keeps the stack on 16 bytes, as a call would
  *--top = (void*)&first_function;              // ccpu_switch "returns" to it
  for (int k = 0; k < 6; k++)
    *--top = nullptr;                           // the six registers
  fibers[i].stack = top;
#endif
}

CCPU_OWN static void go_on_with(int i) {
  current = i;
  thread_index = fibers[i].thread;
  switches++;
  in_kernel = true;
#ifdef CCPU_UCONTEXT
  swapcontext(&main_context, &contexts[i]);
#else
  ccpu_switch(&main_stack, fibers[i].stack);
#endif
  in_kernel = false;
}

// For `count` fibers; the operating system gives memory to those parts of the stacks that are used.
CCPU_OWN static void make_room_for_fibers(int count) {
  if (count <= stack_count)
    return;
  if (stacks)
    munmap(stacks, stack_count * STACK);
  stacks = (char*)mmap(0, count * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  stack_count = count;
  free(fibers);
  fibers = (Fiber*)calloc(count, sizeof(Fiber));
#ifdef CCPU_UCONTEXT
  free(contexts);
  contexts = (ucontext_t*)calloc(count, sizeof(ucontext_t));
#endif
}

CCPU_OWN static bool on_a_stack(uintptr_t address) {
  return address >= (uintptr_t)stacks && address < (uintptr_t)stacks + stack_count * STACK;
}

// What fail() says, at a place where the fiber cannot go on: the launch is over, and the fiber abandoned.
#define CCPU_FAIL(...) (::ccpu::fail(__VA_ARGS__), ::ccpu::leave())

}  // namespace ccpu
