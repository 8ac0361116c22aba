# SPDX-License-Identifier: MIT
# Money is a whole number of cents. Text appears only where people read or write it.

# money_parse TEXT: the cents in "12", "12.5", ".99" or "-3.50"; fails on anything else.
money_parse() {
    whole=${1#-} cents=00
    case $whole in
    '' | . | *[!0-9.]* | *.*.*) return 1 ;;
    *.*) cents=${whole#*.}00 whole=${whole%.*} ;;
    esac
    # The 1 in front keeps a leading zero from meaning octal.
    answer=$((${whole:-0} * 100 + 1${cents%"${cents#??}"} - 100))
    case $1 in -*) answer=-$answer ;; esac
}

# money_format CENTS: as people write it, thousands apart: 1,234.50
money_format() {
    cents=$((${1#-} % 100)) whole=$((${1#-} / 100)) thousands=''
    while [ "$whole" -ge 1000 ]; do
        group=$((1000 + whole % 1000))
        thousands=,${group#1}$thousands
        whole=$((whole / 1000))
    done
    answer=$whole$thousands.$cents
    case $1 in -*) answer=-$answer ;; esac
}

# money_percent CENTS PERCENT: that share of CENTS (never negative); half a cent is rounded up.
money_percent() {
    hundredths=$(($1 * $2))
    answer=$((hundredths / 100))
}
