package meridian;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** One event of the source, which is JSON. No time: cancelled. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Departure(Long atMs, String tailnum, String carrier, String origin, String dest, double distance, Integer delay) {
    private static final ObjectReader READER = new ObjectMapper().readerFor(Departure.class);

    static final Serde<Departure> JSON = Serdes.serdeFrom(
            (topic, departure) -> {
                throw new UnsupportedOperationException("departures are only read");
            },
            (topic, json) -> read(json));

    @JsonCreator
    static Departure of(
            @JsonProperty("departed_at") String departedAt,
            @JsonProperty("tailnum") String tailnum,
            @JsonProperty("carrier") String carrier,
            @JsonProperty("origin") String origin,
            @JsonProperty("dest") String dest,
            @JsonProperty("distance") double distance,
            @JsonProperty("dep_delay") Integer delay) {
        Long atMs = departedAt == null ? null : Instant.parse(departedAt).toEpochMilli();
        return new Departure(atMs, tailnum, carrier, origin, dest, distance, delay);
    }

    private static Departure read(byte[] json) {
        try {
            return READER.readValue(json);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
