# SPDX-License-Identifier: MIT
# Dates are written YYYY-MM-DD, in the Gregorian calendar.

# date_split DATE: sets year, month and day, as numbers.
date_split() {
    year=${1%%-*} month=${1#*-} day=${1##*-}
    month=${month%-*}
    month=$((month)) day=$((day))
}

# date_join: writes year, month and day as a date.
date_join() {
    answer=$year-
    [ "$month" -ge 10 ] || answer=${answer}0
    answer=$answer$month-
    [ "$day" -ge 10 ] || answer=${answer}0
    answer=$answer$day
}

# date_month_days YEAR MONTH: how long that month is.
date_month_days() {
    case $2 in
    4 | 6 | 9 | 11) answer=30 ;;
    2) answer=$((28 + ($1 % 4 == 0))) ;;
    *) answer=31 ;;
    esac
}

# date_add DATE DAYS: the date that many days later.
date_add() {
    date_split "$1"
    day=$((day + $2))
    while date_month_days "$year" "$month" && [ "$day" -gt "$answer" ]; do
        day=$((day - answer)) month=$((month + 1))
        [ "$month" -le 12 ] || month=1
    done
    date_join
}

# date_weekday DATE: 0 for Sunday to 6 for Saturday. This is Zeller's congruence, to which
# January and February are months 13 and 14 of the year before.
date_weekday() {
    date_split "$1"
    [ "$month" -gt 2 ] || year=$((year - 1)) month=$((month + 12))
    days=$((day + 13 * (month + 1) / 5 + year + year / 4 - year / 100 + year / 400))
    answer=$((days % 7))
}

# date_weekday_name DATE: Sunday to Saturday.
date_weekday_name() {
    date_weekday "$1"
    set -- Sunday Monday Tuesday Wednesday Thursday Friday Saturday
    shift "$answer"
    answer=$1
}

# date_due DATE DAYS: the last day to pay. At the weekend the bank is closed: then it is the Monday after.
date_due() {
    date_add "$1" "$2"
    due=$answer
    date_weekday "$due"
    case $answer in
    0) date_add "$due" 2 ;; # Saturday
    1) date_add "$due" 1 ;; # Sunday
    *) answer=$due ;;
    esac
}
