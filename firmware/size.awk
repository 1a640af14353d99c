# The size table, from `avr-size -A` of the program and the .su files of its compilation.
BEGIN {
    FS = "[ \t]+"
    FLASH = 8192; CHIP_FLASH = 32768; RAM = 512; CHIP_RAM = 2048; FRAME = 96
}
$1 == ".text" { flash += $2 }
$1 == ".data" { flash += $2; ram += $2 }
$1 == ".bss" || $1 == ".noinit" { ram += $2 }
$NF == "static" || $NF == "dynamic" || $NF == "bounded" || $NF == "dynamic,bounded" {
    split($1, at, ":")
    frames[++count] = $(NF - 1)
    names[count] = at[4] " (" at[1] ")"
}
function row(what, used, budget) {
    printf "%-34s %6d %6d %5.1f %%%s\n", what, used, budget, 100 * used / budget, (used > budget ? "  TOO BIG" : "")
}
END {
    printf "%-34s %6s %6s %7s\n", "bytes", "used", "of", ""
    row("flash: the budget", flash, FLASH)
    row("flash: the chip", flash, CHIP_FLASH)
    row("static RAM: the budget", ram, RAM)
    row("static RAM: the chip", ram, CHIP_RAM)
    printf "%-34s %6d\n", "left for the stack", CHIP_RAM - ram
    print "the largest stack frames"
    for (i = 1; i <= 5; i++) {
        largest = 0
        for (j = 1; j <= count; j++)
            if (!done[j] && (largest == 0 || frames[j] > frames[largest])) largest = j
        if (largest == 0) break
        done[largest] = 1
        row("  " names[largest], frames[largest], FRAME)
    }
}
