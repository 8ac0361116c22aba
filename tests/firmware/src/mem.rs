// SPDX-License-Identifier: MIT
//! Copying, filling and comparing memory, written for size: those that come with the compiler are written for speed and take 1.7 KB.
//!
//! Names, arguments and results are those of C and of the Arm run-time ABI (IHI 0043, "memory copying, clearing, and setting"). They
//! use no stack. In assembly, since a compiler that sees such a loop makes a call of the very function out of it.

#![allow(unsafe_code)]

core::arch::global_asm!(
    r#"
    .syntax unified
    .thumb

    .macro begin name:vararg
    .irp symbol, \name
    .global \symbol
    .type \symbol, %function
    .thumb_func
\symbol:
    .endr
    .endm

    .section .text.memcpy, "ax", %progbits
    begin memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8
    cmp   r0, r1
    bls   2f
0:  subs  r2, r2, #1
    bmi   1f
    ldrb  r3, [r1, r2]
    strb  r3, [r0, r2]
    b     0b
1:  bx    lr
    begin memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8
2:  mov   r12, r0
    orr   r3, r0, r1
    orrs  r3, r3, r2
    lsls  r3, r3, #30
    bne   4f
3:  subs  r2, r2, #4
    bmi   1b
    ldr   r3, [r1], #4
    str   r3, [r12], #4
    b     3b
4:  subs  r2, r2, #1
    bmi   1b
    ldrb  r3, [r1], #1
    strb  r3, [r12], #1
    b     4b
    .size memcpy, . - memcpy

    .section .text.memset, "ax", %progbits
    begin memset
    mov   r3, r1
    mov   r1, r2
    mov   r2, r3
    b     5f
    begin __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8
    movs  r2, #0
    begin __aeabi_memset, __aeabi_memset4, __aeabi_memset8
5:  subs  r1, r1, #1
    bmi   6f
    strb  r2, [r0, r1]
    b     5b
6:  bx    lr
    .size memset, . - memset

    .section .text.memcmp, "ax", %progbits
    begin memcmp, bcmp
7:  subs  r2, r2, #1
    bmi   8f
    ldrb  r3, [r0], #1
    ldrb  r12, [r1], #1
    cmp   r3, r12
    beq   7b
    sub   r0, r3, r12
    bx    lr
8:  movs  r0, #0
    bx    lr
    .size memcmp, . - memcmp
"#
);
