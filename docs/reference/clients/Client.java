// SPDX-License-Identifier: MIT
import java.io.BufferedReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.Collectors;

/** {@code java Client.java SOCKET COMMAND [ARGUMENT...]}: gives a command to otamgr. Java 17, no library. */
public final class Client {
    public static void main(String[] words) throws Exception {
        String arguments = Arrays.stream(words, 1, words.length)
                .map(word -> '"' + word.replace("\\", "\\\\").replace("\"", "\\\"") + '"')
                .collect(Collectors.joining(","));
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(words[0]));
            channel.write(ByteBuffer.wrap(
                    ("{\"protocol\":1,\"arguments\":[" + arguments + "]}\n").getBytes(StandardCharsets.UTF_8)));
            BufferedReader lines = new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                switch (line.charAt(0)) {
                    case 'o' -> System.out.println(line.substring(2));
                    case 'x' -> System.exit(Integer.parseInt(line.substring(2)));
                    default -> System.err.println(line.substring(2));
                }
            }
        }
        System.exit(1);
    }
}
