# One image per service: docker build --target gateway | vision-encoder | resampler | language-model .
# Fetched are the two base images and NuGet packages, nothing else.

# The project files alone: as long as they stay the same, so does everything that restore depends on.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS projects
WORKDIR /src
COPY . .
RUN find . -type f ! -name '*.csproj' ! -name 'Directory.*' ! -name 'global.json' ! -name '*.targets' -delete && find . -type d -empty -delete

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /src
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 NUGET_XMLDOC_MODE=skip
ARG TorchBackend=cpu
ARG ImageDecoder=skia
COPY --from=projects /src .
RUN --mount=type=cache,id=flamingo-nuget,target=/root/.nuget/packages \
    for host in services/*/Host/*.csproj; do dotnet restore "$host" || exit 1; done
COPY . .
# Restore runs once more, without work to do: the cache mount may have been emptied since the layer above was made.
RUN --mount=type=cache,id=flamingo-nuget,target=/root/.nuget/packages \
    for host in services/*/Host/*.csproj; do dotnet publish "$host" -c Release -p:UseAppHost=false || exit 1; done \
 && mv artifacts/publish/Flamingo.Gateway.Host/release /gateway \
 && mv artifacts/publish/Flamingo.VisionEncoder.Host/release /vision-encoder \
 && mv artifacts/publish/Flamingo.Resampler.Host/release /resampler \
 && mv artifacts/publish/Flamingo.LanguageModel.Host/release /language-model \
 # libtorch is nine tenths of a stage's files and the same in all three: one layer for them. It brings its own OpenMP
 # (libgomp-….so.1, which the base image lacks); libstdc++ is in the base image.
 && mkdir /libtorch \
 && for library in /resampler/libtorch*.so /resampler/libc10*.so /resampler/libgomp*.so* /resampler/libLibTorchSharp.so; do \
      name=$(basename "$library") \
      && cmp "$library" "/vision-encoder/$name" && cmp "$library" "/language-model/$name" \
      && mv "$library" /libtorch/ && rm "/vision-encoder/$name" "/language-model/$name" || exit 1; \
    done

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS service
WORKDIR /app
# 8080 is gRPC (HTTP/2 without TLS), set by Endpoints:GrpcPort and not by the image's HTTP/1.1 default.
ENV ASPNETCORE_HTTP_PORTS= Endpoints__GrpcPort=8080 DOTNET_EnableDiagnostics=0
EXPOSE 8080
USER $APP_UID
# Health checks below have no --start-interval, which engines before 25 refuse.

FROM service AS gateway
COPY --from=build /gateway .
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["dotnet", "Flamingo.Gateway.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.Gateway.Host.dll"]

FROM service AS stage
COPY --from=build /libtorch .
COPY models/shapes /model
ENV Model__Directory=/model

FROM stage AS vision-encoder
COPY --from=build /vision-encoder .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.VisionEncoder.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.VisionEncoder.Host.dll"]

FROM stage AS resampler
COPY --from=build /resampler .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.Resampler.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.Resampler.Host.dll"]

FROM stage AS language-model
COPY --from=build /language-model .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.LanguageModel.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.LanguageModel.Host.dll"]
