// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.time.DayOfWeek;
import java.time.Duration;
import java.time.LocalDateTime;
import java.time.temporal.ChronoUnit;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A time of the week in which something may happen, in the device's local time.
 *
 * @param days the days on which it begins
 * @param from the minute of the day at which it begins
 * @param minutes how long it is open; it may reach into the next day
 */
public record Window(Set<DayOfWeek> days, int from, int minutes) {
    private static final int DAY = 24 * 60;
    private static final Pattern WINDOW =
            Pattern.compile("(?:([a-z]{3}(?:[-,][a-z]{3})*) )?([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])");
    private static final List<String> NAMES = List.of("mon", "tue", "wed", "thu", "fri", "sat", "sun");
    /** A clock that shows less was never set. */
    private static final int FIRST_PLAUSIBLE_YEAR = 2024;

    /** Copies the set. */
    public Window {
        days = Set.copyOf(days);
    }

    /**
     * Reads a window: days, which may be left out for all, and a time, as in {@code mon-fri,sun 22:00-04:00}.
     *
     * @param text the text
     * @return the window, or empty if it is none
     */
    public static Optional<Window> parse(String text) {
        Matcher matcher = WINDOW.matcher(text);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        int from = minute(matcher.group(2), matcher.group(3));
        int to = minute(matcher.group(4), matcher.group(5));
        Optional<Set<DayOfWeek>> days =
                matcher.group(1) == null ? Optional.of(EnumSet.allOf(DayOfWeek.class)) : days(matcher.group(1));
        if (from >= DAY || to > DAY || from == to || days.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new Window(days.get(), from, to > from ? to - from : to + DAY - from));
    }

    private static int minute(String hour, String minute) {
        return Integer.parseInt(hour) * 60 + Integer.parseInt(minute);
    }

    private static Optional<Set<DayOfWeek>> days(String text) {
        Set<DayOfWeek> days = EnumSet.noneOf(DayOfWeek.class);
        for (String part : text.split(",")) {
            String[] ends = part.split("-");
            int first = NAMES.indexOf(ends[0]);
            int last = NAMES.indexOf(ends[ends.length - 1]);
            if (first < 0 || last < 0 || ends.length > 2) {
                return Optional.empty();
            }
            for (int day = first; ; day = (day + 1) % NAMES.size()) {
                days.add(DayOfWeek.of(day + 1));
                if (day == last) {
                    break;
                }
            }
        }
        return Optional.of(days);
    }

    /**
     * Whether it is open.
     *
     * @param now the device's local time
     * @return whether it is; never if the clock was obviously not set yet
     */
    public boolean isOpen(LocalDateTime now) {
        if (now.getYear() < FIRST_PLAUSIBLE_YEAR) {
            return false;
        }
        int minute = now.getHour() * 60 + now.getMinute();
        DayOfWeek today = now.getDayOfWeek();
        boolean sinceToday = days.contains(today) && minute >= from && minute < from + minutes;
        boolean sinceYesterday = days.contains(today.minus(1)) && minute < from + minutes - DAY;
        return sinceToday || sinceYesterday;
    }

    /**
     * Whether one of several is open.
     *
     * @param windows the windows; none at all means always
     * @param now the device's local time
     * @return whether one is
     */
    public static boolean isOpen(List<Window> windows, LocalDateTime now) {
        return windows.isEmpty() || windows.stream().anyMatch(window -> window.isOpen(now));
    }

    /**
     * How long until one of several opens.
     *
     * @param windows the windows
     * @param now the device's local time
     * @return zero if one is open; a week if that is how long it takes, or if the clock was obviously not set yet
     */
    public static Duration untilOpen(List<Window> windows, LocalDateTime now) {
        LocalDateTime minute = now.truncatedTo(ChronoUnit.MINUTES);
        for (int later = 0; later < 7 * DAY; later++) {
            if (isOpen(windows, minute.plusMinutes(later))) {
                return later == 0 ? Duration.ZERO : Duration.between(now, minute.plusMinutes(later));
            }
        }
        return Duration.ofDays(7);
    }
}
